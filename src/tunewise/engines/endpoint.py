"""Asking a server over HTTP, many requests at a time, whatever its requests and replies look like.

The `openai` client sends, waits and retries, on an event loop in a thread of its own, so that every answer
under way can be cancelled, which hangs up and so frees the server.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

import openai
from pydantic import BaseModel, ConfigDict

from tunewise.engines.answers import QueuedAnswers
from tunewise.engines.base import Delta
from tunewise.engines.remote_faults import Faults
from tunewise.engines.remote_spec import RemoteSpec
from tunewise.errors import EndpointError, OverloadedError, RequestError, SpecError, TunewiseError
from tunewise.records import JSON_OBJECT, ChatRequest, Completion, Grammar, TokenLogprob

T = TypeVar("T")

NO_KEY = "none"
"""Sent where there is no key: the client insists on one, and an endpoint that asks for none ignores it."""
MAX_STREAMS = 512
"""Streamed answers under way, before more of them are refused."""
NOT_WHOLE = ("content_filter", "tool_calls", "function_call", "abort", "error")
"""Reasons to finish that leave no answer. Servers have words of their own for an end of turn."""


class Received(BaseModel):
    """The part of a reply that is read, whatever else it holds."""

    model_config = ConfigDict(from_attributes=True)


class Usage(Received):
    """The server's own counts."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ModelCard(Received):
    """A model as a server lists it; what is beyond `id` is vLLM's."""

    id: str
    parent: str | None = None
    """The base of an adapter."""
    max_model_len: int | None = None


class _Models(Received):
    data: list[ModelCard]


@dataclass(frozen=True, slots=True)
class Piece:
    """What a reply, or a chunk of a streamed one, adds to an answer."""

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    flaw: str | None = None
    """Why there is no answer in it, in words that follow the server's address, and what to do."""


class Reader(Protocol):
    """Reads one answer. Raises `ValueError` for what is no answer."""

    def reply(self, raw: object) -> Piece:
        """The whole answer."""

    def chunk(self, raw: object) -> Piece:
        """The next piece of a streamed one."""


class Dialect(Protocol):
    """How a request is put to one of a server's routes."""

    route: str

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """What to send. Raises what is wrong with the request, if anything is."""

    def reader(self, request: ChatRequest) -> Reader:
        """What reads the answer to it."""


class Endpoint:
    """One server, asked in one dialect. Thread-safe.

    The key goes to this server in the Authorization header and nowhere else: no error, log or `repr` has it.
    Latency is from sending a request to its last byte, retries and the waiting between them included.
    """

    def __init__(
        self, spec: RemoteSpec, dialect: Dialect, faults: Faults, *, api_key: str | None, direct: bool = False
    ) -> None:
        """Asks nothing yet. Raises `SpecError` for a key that no header can carry.

        `direct` goes past any proxy that the environment names.
        """
        if api_key is not None and not re.fullmatch(r"[!-~]+", api_key):
            raise SpecError("the key of the remote endpoint is empty or holds a space, a line break or such")
        self.url = spec.base_url
        self._dialect = dialect
        self._faults = faults
        self._client = openai.AsyncOpenAI(
            base_url=spec.base_url,
            api_key=api_key or NO_KEY,
            timeout=spec.timeout_s,
            max_retries=spec.max_retries,
            # Said again here, as the client would let OPENAI_CUSTOM_HEADERS replace it.
            default_headers={"Authorization": f"Bearer {api_key or NO_KEY}"},
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False) if direct else None,
        )
        # Read from the environment by the client; they are OpenAI's business, not any endpoint's.
        self._client.organization = self._client.project = None
        self._room = asyncio.Semaphore(spec.max_concurrency)
        self._streams: set[Future[None]] = set()
        self._closing = threading.Lock()
        self._closed = False
        self._ending = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="tunewise-endpoint", daemon=True)
        self._thread.start()

    # What callers use, from any thread.

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """See `Engine`. Whatever makes a request fail, the others go on, and its completion has `error` set.

        `on_done` is called in the caller's thread. When it raises, all that is not finished is cancelled.
        """
        with self._closing:
            self.check_open()
            futures = [self._start(self._answer(request)) for request in requests]
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

    def stream(self, *requests: ChatRequest, whole: bool = False) -> QueuedAnswers:
        """See `Engine`. All are sent at once; closing hangs up.

        Raises `EndpointError` or `ModelNotFoundError` on the way; a stream that ends before the answer did is
        an error too. Only its beginning is retried.
        """
        bodies = [self._dialect.body(request) for request in requests]
        answers = QueuedAnswers(len(requests))
        with self._closing:
            self.check_open()
            if len(self._streams) >= MAX_STREAMS:
                raise OverloadedError(f"{len(self._streams)} streams are under way already: try again later")
            streams = [
                self._start(self._deliver(request, body, index, answers, whole))
                for index, (request, body) in enumerate(zip(requests, bodies, strict=True))
            ]
            self._streams.update(streams)
        for stream in streams:
            stream.add_done_callback(self._streams.discard)
        answers.parts = streams
        return answers

    def models(self) -> list[ModelCard]:
        """What the server lists. Raises `EndpointError`."""
        return self.call("get", "/models", _Models.model_validate).data

    def call(
        self, method: Literal["get", "post"], route: str, read: Callable[[object], T], body: object = None
    ) -> T:
        """What `read` makes of another route's reply, which is parsed JSON or else text; tried once.

        Raises like a request; a `ValueError` of `read` says that it is no such reply.
        """
        options: Any = {"max_retries": 0}

        async def call() -> T:
            with self._faults.explained():
                if method == "get":
                    return read(await self._client.get(route, cast_to=object, options=options))
                return read(await self._client.post(route, cast_to=object, body=body, options=options))

        with self._closing:
            self.check_open()
            future = self._start(call())
        return future.result()

    def check_open(self) -> None:
        """Raise `RequestError` once it is closed."""
        if self._closed:
            raise RequestError("the engine is closed")

    def close(self) -> None:
        """Send nothing more: streams end with an error, requests that wait fail, others are waited for."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for stream in list(self._streams):
            stream.cancel()
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    # What runs on the event loop.

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        await self._ending.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _answer(self, request: ChatRequest) -> Completion:
        async with self._room:
            started = time.perf_counter()
            try:
                self.check_open()
                return await self._ask(request, self._dialect.body(request))
            except TunewiseError as error:
                return Completion("", "error", 0, 0, _ms_since(started), error=str(error))

    async def _deliver(
        self, request: ChatRequest, body: dict[str, Any], index: int, answers: QueuedAnswers, whole: bool
    ) -> None:
        try:
            if whole:
                answers.deliver(Delta("", await self._ask(request, body), index=index))
            else:
                async for delta in self._ask_piece_by_piece(request, body):
                    answers.deliver(replace(delta, index=index))
        except asyncio.CancelledError:
            answers.deliver(RequestError("the engine was closed"))
            raise
        except TunewiseError as error:
            answers.deliver(error)

    async def _ask(self, request: ChatRequest, body: dict[str, Any]) -> Completion:
        started = time.perf_counter()
        with self._faults.explained(request.model):
            raw: object = await self._client.post(self._dialect.route, cast_to=object, body=body)
            piece = self._dialect.reader(request).reply(raw)
            return self._completion(piece, started)

    async def _ask_piece_by_piece(self, request: ChatRequest, body: dict[str, Any]) -> AsyncIterator[Delta]:
        started = time.perf_counter()
        pieces: list[Piece] = []
        reader = self._dialect.reader(request)
        with self._faults.explained(request.model):
            chunks: openai.AsyncStream[object] = await self._client.post(
                self._dialect.route,
                cast_to=object,
                body=body | {"stream": True, "stream_options": {"include_usage": True}},
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
            async with chunks:
                async for raw in chunks:
                    piece = reader.chunk(raw)
                    pieces.append(piece)
                    if piece.text or piece.logprobs:
                        yield Delta(piece.text, logprobs=piece.logprobs)
        yield Delta("", self._completion(_joined(pieces), started))

    def _completion(self, piece: Piece, started: float) -> Completion:
        if piece.flaw is not None:
            raise EndpointError(f"{self.url} {piece.flaw}")
        if piece.finish_reason is None:
            raise EndpointError(f"{self.url} ended the stream before the answer: ask again")
        if piece.finish_reason in NOT_WHOLE:
            raise EndpointError(f"{self.url} gave no whole answer: it ended with {piece.finish_reason}")
        usage = piece.usage or Usage()
        return Completion(
            piece.text,
            "length" if piece.finish_reason == "length" else "stop",
            usage.prompt_tokens or 0,
            usage.completion_tokens or 0,
            _ms_since(started),
            logprobs=piece.logprobs,
        )


def sampling_fields(request: ChatRequest) -> dict[str, Any]:
    """How to choose tokens, as both of OpenAI's routes call it; completions have schemas only in vLLM.

    What asks for nothing is left out, as not every server knows every field. Raises `RequestError` for tools
    and for grammars that are no schemas.
    """
    if request.tools:
        raise RequestError("calls of tools are for the local engine only: use that one", param="tools")
    fields: dict[str, Any] = {"temperature": request.temperature}
    if request.max_tokens is not None:
        fields["max_tokens"] = request.max_tokens
    if request.top_p != 1:
        fields["top_p"] = request.top_p
    if request.stop:
        fields["stop"] = list(request.stop)
    if request.seed is not None:
        fields["seed"] = request.seed
    if request.presence_penalty:
        fields["presence_penalty"] = request.presence_penalty
    if request.frequency_penalty:
        fields["frequency_penalty"] = request.frequency_penalty
    if request.logit_bias:
        fields["logit_bias"] = {str(token): bias for token, bias in request.logit_bias.items()}
    if request.grammar is not None:
        fields["response_format"] = _response_format(request.grammar)
    return fields


def _response_format(grammar: Grammar) -> dict[str, Any]:
    if grammar == JSON_OBJECT:
        return {"type": "json_object"}
    if grammar.kind != "json_schema":
        reason = f"another server takes no {grammar.kind} grammar: use the local engine"
        raise RequestError(reason, param="response_format")
    schema = {"name": "answer", "schema": json.loads(grammar.source), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _joined(pieces: Sequence[Piece]) -> Piece:
    """All of a streamed answer; of what is said more than once, the last."""
    return Piece(
        "".join(piece.text for piece in pieces),
        tuple(token for piece in pieces for token in piece.logprobs),
        next((piece.finish_reason for piece in reversed(pieces) if piece.finish_reason), None),
        next((piece.usage for piece in reversed(pieces) if piece.usage), None),
    )


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
