"""Asking any OpenAI-compatible endpoint (a hosted API, a vLLM server, another tunewise) as an engine.

So a big hosted model, prompted, can be one of the rivals. The `openai` client sends, waits and retries;
`generate` spreads its requests over a bounded number of threads.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, NoReturn

import openai
from pydantic import BaseModel, ConfigDict, Field

from tunewise.engines.base import Delta
from tunewise.engines.remote_faults import Faults
from tunewise.engines.remote_spec import RemoteSpec
from tunewise.errors import EndpointError, RequestError, SpecError, TunewiseError
from tunewise.records import JSON_OBJECT, ChatRequest, Completion, Message

NO_KEY = "none"
"""Sent where there is no key: the client insists on one, and an endpoint that asks for none ignores it."""


class RemoteEngine:
    """An endpoint's models (implements `Engine`, as far as an endpoint can). Thread-safe.

    It streams one request at a time. Texts go in and out, no tokens: `score`, `count_tokens` and
    `count_answer_tokens` raise `RequestError`, and so do `load` and `unload`. Token counts are the endpoint's
    own, and 0 where it gives none. Latency is from sending a request to its last byte, retries and the
    waiting between them included.

    The key goes to this endpoint in the Authorization header and nowhere else: no error, log or `repr` has
    it.
    """

    def __init__(self, spec: RemoteSpec, *, api_key: str | None = None) -> None:
        """Asks nothing yet. Raises `SpecError` for a key that no header can carry."""
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key):
            raise SpecError("the key of the remote endpoint is empty or holds a space, a line break or such")
        self.base_id = spec.model
        self._endpoint = spec.base_url
        self._faults = Faults(spec, api_key)
        self._client = openai.OpenAI(
            base_url=spec.base_url,
            api_key=api_key or NO_KEY,
            timeout=spec.timeout_s,
            max_retries=spec.max_retries,
            # Said again here, as the client would let OPENAI_CUSTOM_HEADERS replace it.
            default_headers={"Authorization": f"Bearer {api_key or NO_KEY}"},
        )
        # Read from the environment by the client; they are OpenAI's business, not any endpoint's.
        self._client.organization = self._client.project = None
        self._pool = ThreadPoolExecutor(spec.max_concurrency, thread_name_prefix="tunewise-remote")
        self._closing = threading.Lock()
        self._closed = False

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """See `Engine`. Whatever makes a request fail, the others go on, and its completion has `error` set.

        `on_done` is called in the caller's thread. When it raises, requests that were not sent yet are not.
        """
        with self._closing:
            self._check_open()
            futures = [self._pool.submit(self._answer, request) for request in requests]
        indices = {future: index for index, future in enumerate(futures)}
        try:
            for future in as_completed(futures):
                future.result()
                if on_done is not None:
                    on_done(indices[future])
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def check(self, request: ChatRequest) -> None:
        """See `Engine`: what is wrong whoever is asked. Models and context are the endpoint's to know."""
        self._check_open()
        if not request.messages:
            raise RequestError("there is no message to answer", param="messages")
        if request.max_tokens < 1:
            raise RequestError(f"max_tokens is {request.max_tokens}: give 1 or more", param="max_tokens")
        if not 0 <= request.temperature <= 2:
            raise RequestError(f"temperature is {request.temperature}: give 0 to 2", param="temperature")
        if not 0 <= request.top_p <= 1:
            raise RequestError(f"top_p is {request.top_p}: give 0 to 1", param="top_p")
        if request.tools or any(m.role == "tool" or m.tool_calls for m in request.messages):
            self._refuse("is asked for text only, not for calls of tools", param="tools")
        if request.grammar is not None and request.grammar.kind != "json_schema":
            self._refuse(f"takes no {request.grammar.kind} grammar", param="response_format")
        try:
            "".join([request.model, *request.stop, *(m.content for m in request.messages)]).encode()
        except UnicodeEncodeError:
            raise RequestError("half a surrogate pair is no character", param="messages") from None

    def stream(self, request: ChatRequest) -> Iterator[Delta]:
        """See `Engine`. Sent when the first piece is asked for; closing hangs up, which frees the endpoint.

        Raises like `check` at once, and `EndpointError` or `ModelNotFoundError` on the way; a stream that
        ends before the answer did is an error too. Only its beginning is retried.
        """
        self.check(request)
        return self._stream(request)

    def score(self, model: str, messages: Sequence[Message], completion: str) -> list[float]:  # noqa: ARG002
        """Not possible: chat endpoints give no probabilities of a text that they did not write."""
        self._refuse("scores no text that it did not write")

    def token_ids(self, model: str, messages: Sequence[Message], completion: str) -> list[int]:  # noqa: ARG002
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
        self._check_open()
        with self._faults.explained():
            # Not `models.list`, which trips over a page that is none before it can be checked.
            listed = _Models.model_validate(self._client.get("/models", cast_to=object))
        return sorted((model.id for model in listed.data), key=lambda name: name != self.base_id)

    def close(self) -> None:
        """Send nothing more: requests that wait fail, those under way are waited for."""
        with self._closing:
            self._closed = True
        self._pool.shutdown()
        self._client.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RequestError("the engine is closed")

    def _refuse(self, limit: str, param: str | None = None) -> NoReturn:
        advice = "use an engine of this machine"
        raise RequestError(f"the remote endpoint {self._endpoint} {limit}: {advice}", param=param)

    def _answer(self, request: ChatRequest) -> Completion:
        started = time.perf_counter()
        try:
            self.check(request)
            with self._faults.explained(request.model):
                reply = _Reply.model_validate(self._client.chat.completions.create(**_fields(request)))
            choice = reply.choices[0]
            return self._completion(choice.message.text, choice.finish_reason, reply.usage, started)
        except TunewiseError as error:
            return Completion("", "error", 0, 0, _ms_since(started), error=str(error))

    def _stream(self, request: ChatRequest) -> Iterator[Delta]:
        started = time.perf_counter()
        texts: list[str] = []
        finish_reason, usage = None, None
        fields = _fields(request) | {"stream": True, "stream_options": {"include_usage": True}}
        with self._faults.explained(request.model), self._client.chat.completions.create(**fields) as chunks:
            for raw in chunks:
                chunk = _Chunk.model_validate(raw)
                usage = chunk.usage or usage
                for choice in chunk.choices[:1]:
                    finish_reason = choice.finish_reason or finish_reason
                    if choice.delta is not None and choice.delta.text:
                        texts.append(choice.delta.text)
                        yield Delta(choice.delta.text)
        if finish_reason is None:
            raise EndpointError(f"{self._endpoint} ended the stream before the answer: ask again")
        yield Delta("", self._completion("".join(texts), finish_reason, usage, started))

    def _completion(
        self, text: str, finish_reason: str | None, usage: _Usage | None, started: float
    ) -> Completion:
        """Servers have words of their own for an end of turn; what is neither that nor a cut is an error."""
        if finish_reason in ("content_filter", "tool_calls", "function_call"):
            raise EndpointError(f"{self._endpoint} gave no whole answer: it ended with {finish_reason}")
        reason: Literal["stop", "length"] = "length" if finish_reason == "length" else "stop"
        counts = usage or _Usage()
        num_input, num_output = counts.prompt_tokens or 0, counts.completion_tokens or 0
        return Completion(text, reason, num_input, num_output, _ms_since(started))


def _fields(request: ChatRequest) -> dict[str, Any]:
    """The body to send. What asks for nothing is left out, as not every server knows every field."""
    fields: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.top_p != 1:
        fields["top_p"] = request.top_p
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.grammar == JSON_OBJECT:
        fields["response_format"] = {"type": "json_object"}
    elif request.grammar is not None:
        schema = {"name": "answer", "schema": json.loads(request.grammar.source), "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


# What is read of a reply. The client builds its objects unchecked from whatever JSON came, or hands on the
# text of a web page; these check the part that is used, and say nothing of the rest.


class _Received(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Text(_Received):
    content: str | None = None
    refusal: str | None = None
    """The model's own words when it declines; an answer like any other."""

    @property
    def text(self) -> str:
        return self.content or self.refusal or ""


class _Usage(_Received):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(_Received):
    message: _Text
    finish_reason: str | None = None


class _Reply(_Received):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _ChunkChoice(_Received):
    delta: _Text | None = None
    finish_reason: str | None = None


class _Chunk(_Received):
    choices: list[_ChunkChoice]
    usage: _Usage | None = None


class _Model(_Received):
    id: str


class _Models(_Received):
    data: list[_Model]
