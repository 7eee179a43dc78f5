"""The OpenAI chat schema: what clients may send, and what they get back.

The source is OpenAI's public API description. Three rules decide a field's fate: one that is honoured is
typed here; one that cannot change the answer is accepted; any other is refused by name unless its value
asks for nothing (`tools: []`), as an answer that quietly ignores what was asked is worse than none.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from tunewise.records import ChatRequest, Completion, Message, ModelRecord

DEFAULT_TEMPERATURE = 1.0
"""What OpenAI documents for a request that names none."""


def _only(*neutral: Any) -> AfterValidator:
    """Refuse every value but null and these, which ask for nothing."""

    def refuse(value: Any) -> Any:
        if value is None or value in neutral:
            return value
        raise PydanticCustomError("unsupported", "this is not supported here: leave it out")

    return AfterValidator(refuse)


def _join_text_parts(content: Any) -> Any:
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


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


Text = Annotated[str, AfterValidator(_encodable)]


class _Received(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ReceivedMessage(_Received):
    """One turn of the conversation. An answer of ours can be sent back as it came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_join_text_parts)]
    weight: Any = None
    """Means something in training rows only."""
    name: Annotated[Any, _only()] = None
    refusal: Annotated[Any, _only()] = None
    annotations: Annotated[Any, _only([])] = None
    audio: Annotated[Any, _only()] = None
    function_call: Annotated[Any, _only()] = None
    tool_calls: Annotated[Any, _only([])] = None

    def to_record(self) -> Message:
        """`developer` is what newer clients call `system`."""
        return Message("system" if self.role == "developer" else self.role, self.content)


class StreamOptions(_Received):
    """How to stream."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class ChatCompletionRequest(_Received):
    """The body of `POST /v1/chat/completions`."""

    model: Text
    messages: list[ReceivedMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[
        list[Annotated[Text, Field(min_length=1)]] | None, Field(max_length=4), BeforeValidator(_as_list)
    ] = None

    # What asks for another answer than the engine gives.
    n: Annotated[Any, _only(1)] = None
    tools: Annotated[Any, _only([])] = None
    tool_choice: Annotated[Any, _only("none", "auto")] = None
    functions: Annotated[Any, _only([])] = None
    function_call: Annotated[Any, _only("none", "auto")] = None
    response_format: Annotated[Any, _only({"type": "text"})] = None
    logprobs: Annotated[Any, _only(False)] = None
    top_logprobs: Annotated[Any, _only(0)] = None
    logit_bias: Annotated[Any, _only({})] = None
    presence_penalty: Annotated[Any, _only(0)] = None
    frequency_penalty: Annotated[Any, _only(0)] = None
    modalities: Annotated[Any, _only(["text"])] = None
    audio: Annotated[Any, _only()] = None
    reasoning_effort: Annotated[Any, _only("none")] = None
    verbosity: Annotated[Any, _only("medium")] = None
    web_search_options: Annotated[Any, _only()] = None

    # What cannot change the answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prediction: Any = None
    parallel_tool_calls: Any = None

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("pair", "only allowed when stream is true", {"param": "stream_options"})
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise PydanticCustomError(
                "pair", "differs from max_completion_tokens: give one of them", {"param": "max_tokens"}
            )
        return self

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def to_record(self, default_max_tokens: int) -> ChatRequest:
        """The same request as engines take it."""
        greedy = self.top_p == 0  # A nucleus of nothing but the likeliest token.
        temperature = DEFAULT_TEMPERATURE if self.temperature is None else self.temperature
        return ChatRequest(
            model=self.model,
            messages=tuple(message.to_record() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens or default_max_tokens,
            temperature=0.0 if greedy else temperature,
            top_p=self.top_p or 1.0,
            stop=tuple(self.stop or ()),
            seed=self.seed,
        )


class Usage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, completion: Completion) -> Self:
        """The engine's own counts."""
        return cls(
            prompt_tokens=completion.input_tokens,
            completion_tokens=completion.output_tokens,
            total_tokens=completion.input_tokens + completion.output_tokens,
        )


class AnswerMessage(BaseModel):
    """The assistant's turn; `refusal` is there for clients that look for it."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: str


class Delta(BaseModel):
    """What a chunk adds to the message; unset fields are left out."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """The one answer's next piece."""

    index: int
    delta: Delta
    logprobs: None
    finish_reason: str | None


class Reply(BaseModel):
    """What a completion and every chunk of one stream share."""

    id: str
    created: int
    model: str
    system_fingerprint: str

    @classmethod
    def to_model(cls, model: str) -> Self:
        """A new reply under the id that was asked, fingerprinted by it, as it names the weights."""
        return cls(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=model,
            system_fingerprint=f"fp_{hashlib.sha256(model.encode()).hexdigest()[:10]}",
        )

    def completion(self, completion: Completion) -> ChatCompletion:
        """The whole answer at once."""
        message = AnswerMessage(content=completion.text)
        choice = Choice(message=message, finish_reason=completion.finish_reason)
        return ChatCompletion(**dict(self), choices=[choice], usage=Usage.of(completion))

    def chunk(self, delta: Delta, finish_reason: str | None = None) -> ChatCompletionChunk:
        """The next piece of the answer, the last one with its `finish_reason`."""
        choice = ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)
        return ChatCompletionChunk(**dict(self), object="chat.completion.chunk", choices=[choice])

    def usage_chunk(self, completion: Completion) -> ChatCompletionChunk:
        """The chunk without choices that follows the answer where `include_usage` is asked."""
        return ChatCompletionChunk(
            **dict(self), object="chat.completion.chunk", choices=[], usage=Usage.of(completion)
        )


class ChatCompletion(Reply):
    """The answer to a request that does not stream."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[Choice]
    usage: Usage


class ChatCompletionChunk(Reply):
    """One event of a stream, sent without its unset fields."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Model(BaseModel):
    """A model as `/v1/models` shows it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "tunewise"

    @classmethod
    def of(cls, record: ModelRecord) -> Self:
        """A registered model."""
        return cls(id=record.id, created=record.created_at)


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[Model]
