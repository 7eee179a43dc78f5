"""What clients may ask an answer to look like: JSON, or calls of their functions."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from tunewise.records import JSON_OBJECT, Grammar, Tool, ToolCall
from tunewise.serve.fields import JsonSchema, Received, Text, spellable

FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class NamedSchema(Received):
    """A schema and what is said of it; it is enforced whether `strict` or not."""

    name: FunctionName
    description: Text | None = None
    schema_: JsonSchema = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Received):
    """What the text of an answer has to be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _check_schema(self) -> Self:
        if (self.json_schema is not None) != (self.type == "json_schema"):
            reason = "goes with the type json_schema, and only with that"
            raise PydanticCustomError("pair", reason, {"param": "json_schema"})
        return self

    def to_record(self) -> Grammar | None:
        """None where any text will do."""
        if self.json_schema is not None:
            return Grammar("json_schema", json.dumps(self.json_schema.schema_, ensure_ascii=False))
        return JSON_OBJECT if self.type == "json_object" else None


class ReceivedFunction(Received):
    """A function; one without `parameters` takes none."""

    name: FunctionName
    description: Text | None = None
    parameters: JsonSchema | None = None
    strict: bool | None = None


class ReceivedTool(Received):
    """A tool that the answer may call."""

    type: Literal["function"]
    function: ReceivedFunction

    def to_record(self) -> Tool:
        """As engines take it."""
        function = self.function
        if function.parameters is None:
            return Tool(function.name, description=function.description)
        parameters = json.dumps(function.parameters, ensure_ascii=False)
        return Tool(function.name, parameters, function.description)


def _known_choice(choice: Any) -> Any:
    match choice:
        case None | "none" | "auto" | "required":
            return choice
        case {"type": "function", "function": {"name": str()}}:
            return choice
    raise PydanticCustomError("tool_choice", "it is none, auto, required, or a function by its name")


ToolChoice = Annotated[Any, AfterValidator(_known_choice)]


def _json_object(arguments: str) -> str:
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PydanticCustomError("arguments", "they are a JSON object, as text")
    spellable(value)
    return arguments


class CalledFunction(Received):
    """Which function an answer called, and with what."""

    name: FunctionName
    arguments: Annotated[Text, AfterValidator(_json_object)]
    parsed_arguments: Any = None
    """The official client's, where it parsed our answer."""


class ReceivedToolCall(Received):
    """A call in an earlier answer."""

    id: Text
    type: Literal["function"]
    function: CalledFunction
    index: Any = None
    """The official client's, where it streamed our answer."""

    def to_record(self) -> ToolCall:
        """As engines take it."""
        return ToolCall(self.id, self.function.name, self.function.arguments)


class FunctionCall(BaseModel):
    """A function that is to be called; `arguments` is a JSON object, as text."""

    name: str
    arguments: str


class AnswerToolCall(BaseModel):
    """A call of the answer."""

    id: str
    type: Literal["function"]
    function: FunctionCall

    @classmethod
    def of(cls, call: ToolCall) -> Self:
        """As the model wrote it."""
        return cls(
            id=call.id, type="function", function=FunctionCall(name=call.name, arguments=call.arguments)
        )


class ToolCallDelta(AnswerToolCall):
    """A call in a stream. It is sent whole; `index` counts the calls of its answer."""

    index: int

    @classmethod
    def at(cls, index: int, call: ToolCall) -> Self:
        """The call with this index."""
        return cls(index=index, **dict(AnswerToolCall.of(call)))
