"""The OpenAI chat schema: what clients may send, and what they get back.

The source is OpenAI's public API description. Three rules decide a field's fate: one that is honoured is
typed here; one that cannot change the answer is accepted; any other is refused by name unless its value asks
for nothing (`modalities: ["text"]`), as an answer that quietly ignores what was asked is worse than none.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tunewise.records import ChatRequest, Completion, Message, ModelRecord, TokenLogprob
from tunewise.serve.fields import Received, Text, join_text_parts, only
from tunewise.serve.formats import (
    AnswerToolCall,
    ReceivedTool,
    ReceivedToolCall,
    ResponseFormat,
    ToolCallDelta,
    ToolChoice,
)

DEFAULT_TEMPERATURE = 1.0
"""What OpenAI documents for a request that names none."""


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


def _token_biases(biases: dict[str, Any]) -> dict[int, float]:
    for token, bias in biases.items():
        if not re.fullmatch("[0-9]{1,9}", token):
            raise PydanticCustomError("token", "its keys are token ids")
        if type(bias) not in (int, float) or not -100 <= bias <= 100:
            raise PydanticCustomError("bias", "its values are numbers from -100 to 100")
    return {int(token): float(bias) for token, bias in biases.items()}


class ReceivedMessage(Received):
    """One turn of the conversation. An answer of ours can be sent back as it came."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[Text | None, BeforeValidator(join_text_parts)] = None
    """Null only beside calls."""
    tool_calls: list[ReceivedToolCall] | None = None
    tool_call_id: Text | None = None
    weight: Any = None
    """Means something in training rows only."""
    parsed: Any = None
    """The official client's, where it parsed our answer."""
    name: Annotated[Any, only()] = None
    refusal: Annotated[Any, only()] = None
    annotations: Annotated[Any, only([])] = None
    audio: Annotated[Any, only()] = None
    function_call: Annotated[Any, only()] = None

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise PydanticCustomError("pair", "only an assistant calls", {"param": "tool_calls"})
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise PydanticCustomError(
                "pair", "goes with the role tool, and only with that", {"param": "tool_call_id"}
            )
        if self.content is None and not self.tool_calls:
            raise PydanticCustomError("missing", "there is no text", {"param": "content"})
        return self

    def to_record(self) -> Message:
        """`developer` is what newer clients call `system`."""
        return Message(
            "system" if self.role == "developer" else self.role,
            self.content or "",
            tool_calls=tuple(call.to_record() for call in self.tool_calls or ()),
            tool_call_id=self.tool_call_id,
        )


class StreamOptions(Received):
    """How to stream."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class ChatCompletionRequest(Received):
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
    n: int | None = Field(None, ge=1, le=8)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: Annotated[dict[str, Any], AfterValidator(_token_biases)] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)

    response_format: ResponseFormat | None = None
    tools: list[ReceivedTool] | None = Field(None, max_length=128)
    tool_choice: ToolChoice = None
    parallel_tool_calls: bool | None = None

    # What asks for another answer than the engine gives.
    functions: Annotated[Any, only([])] = None
    function_call: Annotated[Any, only("none", "auto")] = None
    modalities: Annotated[Any, only(["text"])] = None
    audio: Annotated[Any, only()] = None
    reasoning_effort: Annotated[Any, only("none")] = None
    verbosity: Annotated[Any, only("medium")] = None
    web_search_options: Annotated[Any, only()] = None

    # What cannot change the answer.
    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    prediction: Any = None

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("pair", "only allowed when stream is true", {"param": "stream_options"})
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise PydanticCustomError(
                "pair", "differs from max_completion_tokens: give one of them", {"param": "max_tokens"}
            )
        if self.top_logprobs and not self.logprobs:
            raise PydanticCustomError("pair", "only allowed when logprobs is true", {"param": "top_logprobs"})
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise PydanticCustomError("pair", "only allowed when there are tools", {"param": "tool_choice"})
        return self

    @model_validator(mode="after")
    def _check_results(self) -> Self:
        calls: set[str | None] = set()
        for index, message in enumerate(self.messages):
            calls |= {call.id for call in message.tool_calls or ()}
            if message.role == "tool" and message.tool_call_id not in calls:
                place = f"messages[{index}].tool_call_id"
                raise PydanticCustomError("pair", "there is no such call before it", {"param": place})
        return self

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with what it cost."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def to_records(self) -> list[ChatRequest]:
        """The same request as engines take it, once for each choice. Choice i has the seed + i."""
        request = self._to_record()
        seeds = [None if self.seed is None else self.seed + i for i in range(self.n or 1)]
        return [replace(request, seed=seed) for seed in seeds]

    def _to_record(self) -> ChatRequest:
        greedy = self.top_p == 0  # A nucleus of nothing but the likeliest token.
        temperature = DEFAULT_TEMPERATURE if self.temperature is None else self.temperature
        return ChatRequest(
            model=self.model,
            messages=tuple(message.to_record() for message in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=0.0 if greedy else temperature,
            top_p=self.top_p or 1.0,
            stop=tuple(self.stop or ()),
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            # Validated into what the record holds.
            logit_bias=cast(dict[int, float], self.logit_bias or {}),
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            grammar=self.response_format.to_record() if self.response_format else None,
            # What must not be called need not be known.
            tools=() if self.tool_choice == "none" else tuple(tool.to_record() for tool in self.tools or ()),
            must_call=self._must_call(),
            # A function that is named is called once.
            parallel_tool_calls=self.parallel_tool_calls is not False and not self._names_function,
        )

    @property
    def _names_function(self) -> bool:
        return isinstance(self.tool_choice, dict)

    def _must_call(self) -> tuple[str, ...]:
        match self.tool_choice:
            case "required":
                return tuple(tool.function.name for tool in self.tools or ())
            case {"function": {"name": str(name)}}:
                return (name,)
        return ()


class Usage(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, choices: Sequence[Completion]) -> Self:
        """The engine's own counts. The choices of one request share its prompt, which counts once."""
        num_prompt, num_output = choices[0].input_tokens, sum(choice.output_tokens for choice in choices)
        return cls(
            prompt_tokens=num_prompt,
            completion_tokens=num_output,
            total_tokens=num_prompt + num_output,
        )


class AnswerMessage(BaseModel):
    """The assistant's turn; `refusal` is there for clients that look for it."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[AnswerToolCall] | None = Field(None, exclude_if=lambda calls: calls is None)

    @classmethod
    def of(cls, completion: Completion) -> Self:
        """As the engine gave it; an answer that is nothing but calls has no content."""
        calls = [AnswerToolCall.of(call) for call in completion.tool_calls]
        return cls(content=completion.text or (None if calls else ""), tool_calls=calls or None)


class TopLogprob(BaseModel):
    """A token, how likely it was, and its UTF-8, which may be a part of a character."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    """The tokens of an answer, or of a piece of it."""

    content: list[ContentLogprob]
    refusal: None

    @classmethod
    def of(cls, tokens: Sequence[TokenLogprob]) -> Self:
        """As the engine measured them."""
        content = [
            ContentLogprob(**_spelled(token), top_logprobs=[TopLogprob(**_spelled(top)) for top in token.top])
            for token in tokens
        ]
        return cls(content=content, refusal=None)


def _spelled(token: TokenLogprob) -> dict[str, Any]:
    return {"token": token.text, "logprob": token.logprob, "bytes": list(token.bytes)}


class Choice(BaseModel):
    """One answer."""

    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: str


class Delta(BaseModel):
    """What a chunk adds to the message; unset fields are left out."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(BaseModel):
    """One answer's next piece."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
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

    def completion(self, choices: Sequence[Completion], *, logprobs: bool) -> ChatCompletion:
        """The whole answer at once."""
        received = [
            Choice(
                index=index,
                message=AnswerMessage.of(choice),
                logprobs=ChoiceLogprobs.of(choice.logprobs) if logprobs else None,
                finish_reason=choice.finish_reason,
            )
            for index, choice in enumerate(choices)
        ]
        return ChatCompletion(**dict(self), choices=received, usage=Usage.of(choices))

    def chunk(
        self,
        index: int,
        delta: Delta,
        finish_reason: str | None = None,
        logprobs: Sequence[TokenLogprob] = (),
    ) -> ChatCompletionChunk:
        """The next piece of choice `index`, the last one with its `finish_reason`."""
        measured = ChoiceLogprobs.of(logprobs) if logprobs else None
        choice = ChunkChoice(index=index, delta=delta, logprobs=measured, finish_reason=finish_reason)
        return ChatCompletionChunk(**dict(self), object="chat.completion.chunk", choices=[choice])

    def usage_chunk(self, choices: Sequence[Completion]) -> ChatCompletionChunk:
        """The chunk without choices that follows the answer where `include_usage` is asked."""
        return ChatCompletionChunk(
            **dict(self), object="chat.completion.chunk", choices=[], usage=Usage.of(choices)
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
