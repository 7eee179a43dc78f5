"""Asking any OpenAI-compatible endpoint (a hosted API, a vLLM server, another tunewise) as an engine.

So a big hosted model, prompted, can be one of the rivals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from pydantic import Field

from tunewise.engines.answers import QueuedAnswers
from tunewise.engines.endpoint import Endpoint, Piece, Received, Usage, sampling_fields
from tunewise.engines.remote_faults import Faults
from tunewise.engines.remote_spec import RemoteSpec
from tunewise.errors import RequestError
from tunewise.records import ChatRequest, Completion, Message, TokenLogprob, Tool

CUT_BEFORE_ANSWER = (
    "cut the answer before it began, as happens to a model that reasons first: turn its reasoning off, or "
    "ask a model that answers at once"
)


class RemoteEngine:
    """An endpoint's models (implements `Engine`, as far as an endpoint can). Thread-safe.

    Texts go in and out, no tokens: `score`, `token_ids`, `count_tokens` and `count_answer_tokens` raise
    `RequestError`, and so do `load` and `unload`. Token counts are the endpoint's own, and 0 where it gives
    none.
    """

    precision = "unknown"

    def __init__(self, spec: RemoteSpec, *, api_key: str | None = None) -> None:
        """Asks nothing yet. Raises `SpecError` for a key that no header can carry."""
        self.base_id = spec.model
        self._dialect = ChatDialect()
        self._endpoint = Endpoint(spec, self._dialect, Faults(spec, api_key), api_key=api_key)

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """See `Endpoint`."""
        return self._endpoint.generate(requests, on_done)

    def check(self, request: ChatRequest) -> None:
        """See `Engine`: what is wrong whoever is asked. Models and context are the endpoint's to know."""
        self._endpoint.check_open()
        self._dialect.body(request)

    def stream(self, *requests: ChatRequest, whole: bool = False) -> QueuedAnswers:
        """See `Endpoint`."""
        return self._endpoint.stream(*requests, whole=whole)

    def score(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[float]:  # noqa: ARG002
        """Not possible: chat endpoints give no probabilities of a text that they did not write."""
        self._refuse("scores no text that it did not write")

    def token_ids(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:  # noqa: ARG002
        """Not possible: the tokenizer is on the other side."""
        self._refuse("shows no tokens")

    def count_tokens(self, model: str, messages: Sequence[Message]) -> int:  # noqa: ARG002
        """Not possible: the tokenizer is on the other side."""
        self._refuse("counts tokens of answers only")

    def count_answer_tokens(self, model: str, answer: str) -> int:  # noqa: ARG002
        """Not possible: the tokenizer is on the other side."""
        self._refuse("counts tokens of answers only")

    def load(self, model: str, path: Path) -> None:  # noqa: ARG002
        """Not possible: the files are on this side."""
        self._refuse("takes no adapters")

    def unload(self, model: str) -> None:  # noqa: ARG002
        """Not possible, like `load`."""
        self._refuse("takes no adapters")

    def models(self) -> list[str]:
        """What the endpoint lists, this engine's own model first if it is there (some list no aliases).

        Raises `EndpointError`. A cheap way to learn whether the endpoint and the key are any good.
        """
        ids = [card.id for card in self._endpoint.models()]
        return sorted(ids, key=lambda name: name != self.base_id)

    def rest(self) -> None:
        """See `Engine`: it holds nothing."""

    def close(self) -> None:
        """See `Endpoint`."""
        self._endpoint.close()

    def _refuse(self, limit: str) -> NoReturn:
        url = self._endpoint.url
        raise RequestError(f"the remote endpoint {url} {limit}: use an engine of this machine")


class ChatDialect:
    """Messages in, a message out (implements `Dialect`)."""

    route = "/chat/completions"

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """See `Dialect`."""
        _check(request)
        fields = {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            **sampling_fields(request),
        }
        if request.top_logprobs is not None:
            fields |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return fields

    def reader(self, request: ChatRequest) -> ChatDialect:  # noqa: ARG002
        """See `Dialect`. It need not remember anything on the way."""
        return self

    def reply(self, raw: object) -> Piece:
        """See `Reader`."""
        reply = _Reply.model_validate(raw)
        choice = reply.choices[0]
        # Some leave the reason out of an answer that is whole.
        piece = choice.piece(choice.message, choice.finish_reason or "stop", reply.usage)
        is_cut = not piece.text and piece.finish_reason == "length"
        return replace(piece, flaw=CUT_BEFORE_ANSWER) if is_cut else piece

    def chunk(self, raw: object) -> Piece:
        """See `Reader`."""
        chunk = _Chunk.model_validate(raw)
        if not chunk.choices:
            return Piece(usage=chunk.usage)
        choice = chunk.choices[0]
        return choice.piece(choice.delta or _Text(), choice.finish_reason, chunk.usage)


def _check(request: ChatRequest) -> None:
    """Raise what no server could answer; what else is wrong, each says itself."""
    if not request.messages:
        raise RequestError("there is no message to answer", param="messages")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise RequestError(f"max_tokens is {request.max_tokens}: give 1 or more", param="max_tokens")
    if not 0 <= request.temperature <= 2:
        raise RequestError(f"temperature is {request.temperature}: give 0 to 2", param="temperature")
    if not 0 <= request.top_p <= 1:
        raise RequestError(f"top_p is {request.top_p}: give 0 to 1", param="top_p")
    if any(message.role == "tool" or message.tool_calls for message in request.messages):
        raise RequestError("calls of tools and their results cannot be passed on", param="messages")
    try:
        "".join([request.model, *request.stop, *(m.content for m in request.messages)]).encode()
    except UnicodeEncodeError:
        raise RequestError("half a surrogate pair is no character", param="messages") from None


# What is read of a reply. The client hands on whatever JSON came, or the text of a web page; these check the
# part that is used, and say nothing of the rest.


class _Text(Received):
    content: str | None = None
    refusal: str | None = None
    """The model's own words when it declines; an answer like any other."""


class _TopLogprob(Received):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def record(self, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        spelled = self.token.encode() if self.bytes is None else bytes(self.bytes)
        return TokenLogprob(spelled, self.logprob, top)


class _Logprob(_TopLogprob):
    top_logprobs: list[_TopLogprob] = Field(default_factory=list)


class _Logprobs(Received):
    content: list[_Logprob] | None = None


class _AnyChoice(Received):
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None

    def piece(self, text: _Text, finish_reason: str | None, usage: Usage | None) -> Piece:
        tokens = (self.logprobs and self.logprobs.content) or []
        logprobs = tuple(token.record(tuple(t.record() for t in token.top_logprobs)) for token in tokens)
        return Piece(text.content or text.refusal or "", logprobs, finish_reason, usage)


class _Choice(_AnyChoice):
    message: _Text


class _Reply(Received):
    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None


class _ChunkChoice(_AnyChoice):
    delta: _Text | None = None


class _Chunk(Received):
    choices: list[_ChunkChoice]
    usage: Usage | None = None
