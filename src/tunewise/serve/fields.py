"""What the fields of requests are made of."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


class Received(BaseModel):
    """A part of a request, in which every field is known."""

    model_config = ConfigDict(extra="forbid", strict=True)


def only(*neutral: Any) -> AfterValidator:
    """Refuse every value but null and these, which ask for nothing."""

    def refuse(value: Any) -> Any:
        if value is None or value in neutral:
            return value
        raise PydanticCustomError("unsupported", "this is not supported here: leave it out")

    return AfterValidator(refuse)


def join_text_parts(content: Any) -> Any:
    """A list of text parts as one text, a part per line."""
    if not isinstance(content, list):
        return content
    texts: list[str] = []
    for part in content:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case _:
                raise PydanticCustomError("unsupported", "only text parts are supported here")
    return "\n".join(texts)


def _encodable(text: str) -> str:
    """JSON can spell half a surrogate pair; no tokenizer, file or reply can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("unicode", "half a surrogate pair is no character") from None
    return text


def spellable(value: dict[str, Any]) -> dict[str, Any]:
    """Python reads numbers from JSON that JSON does not have."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise PydanticCustomError("depth", "it is nested too deeply") from None
    except ValueError:
        raise PydanticCustomError("number", "NaN and infinity are no numbers of JSON") from None
    _encodable(text)
    return value


Text = Annotated[str, AfterValidator(_encodable)]
JsonSchema = Annotated[dict[str, Any], AfterValidator(spellable)]
