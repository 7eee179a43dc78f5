"""The HTTP API: an engine and a registry behind OpenAI's routes.

Every request names a model and that model answers it, under its own id. Handlers never block: the engine
and the registry are called in threads, so requests meet in the engine, which batches them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from tunewise.engines.base import Answers, Delta, Engine
from tunewise.records import Completion
from tunewise.serve import wire
from tunewise.serve.faults import SERVER_ERROR, Fault, fault_of, report_faults
from tunewise.serve.formats import ToolCallDelta
from tunewise.serve.models import ServedModels
from tunewise.serve.threads import in_thread
from tunewise.store.registry import Registry

logger = logging.getLogger(__name__)


def create_app(
    engine: Engine,
    registry: Registry,
    *,
    base: str | None = None,
    api_key: str | None = None,
) -> FastAPI:
    """The API over `engine` and the models that `registry` knows, loaded into the engine on first use.

    With `base` (what the engine was opened with), only models trained on it are offered. With `api_key`,
    whatever is under `/v1` asks for `Authorization: Bearer <api_key>`. The engine stays the caller's.
    """
    app = FastAPI(title="tunewise", docs_url=None, redoc_url=None)
    report_faults(app)
    served = ServedModels(engine, registry, base)
    keyed = [Depends(_key_check(api_key))] if api_key is not None else []
    app.include_router(_model_routes(served), prefix="/v1", dependencies=keyed)
    app.include_router(_chat_routes(engine, served), prefix="/v1", dependencies=keyed)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _key_check(api_key: str) -> Callable[[str | None], None]:
    expected = f"Bearer {api_key}".encode()

    def check_key(authorization: Annotated[str | None, Header()] = None) -> None:
        if not hmac.compare_digest((authorization or "").encode(), expected):
            message = "Incorrect API key provided: send the server's key as `Authorization: Bearer KEY`."
            raise Fault(401, message, code="invalid_api_key")

    return check_key


def _model_routes(served: ServedModels) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    async def list_models() -> wire.ModelList:
        return wire.ModelList(data=await in_thread(served.list))

    # Ids may hold a slash, which clients send as %2F and the server decodes before routing.
    @router.get("/models/{model_id:path}")
    async def get_model(model_id: str) -> wire.Model:
        return await in_thread(served.get, model_id)

    return router


def _chat_routes(engine: Engine, served: ServedModels) -> APIRouter:
    router = APIRouter()

    @router.post("/chat/completions", response_model=wire.ChatCompletion)
    async def create_chat_completion(
        body: wire.ChatCompletionRequest, request: Request
    ) -> wire.ChatCompletion | StreamingResponse:
        choices = body.to_records()
        await served.make_ready(body.model)
        answers = await in_thread(partial(engine.stream, *choices, whole=not body.stream))
        reply = wire.Reply.to_model(body.model)
        if body.stream:
            return ChatStream(
                reply, answers, len(choices), may_call=bool(body.tools), include_usage=body.include_usage
            )
        async with _closing(answers, request.receive):
            deltas: list[Delta] = await in_thread(list, answers)
        completions = {delta.index: _succeeded(delta.completion) for delta in deltas if delta.completion}
        if len(completions) < len(choices):
            raise Fault(499, "The client closed the connection before the answer was there.")
        ordered = [completions[index] for index in range(len(choices))]
        return reply.completion(ordered, logprobs=bool(body.logprobs))

    return router


@asynccontextmanager
async def _closing(answers: Answers, receive: Receive) -> AsyncIterator[None]:
    """Close `answers` at the end of the block, or before it as soon as the client hangs up."""

    async def close_on_disconnect() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        answers.close()

    watching = asyncio.create_task(close_on_disconnect())
    try:
        yield
    finally:
        watching.cancel()
        answers.close()


def _succeeded(completion: Completion) -> Completion:
    if completion.finish_reason == "error":
        raise Fault(500, f"The model could not answer: {completion.error}", type=SERVER_ERROR)
    return completion


class ChatStream(StreamingResponse):
    """Server-sent events: each choice's role, text and calls, why it ended, what all cost if asked, `[DONE]`.

    The choices come as the engine writes them, told apart by `index`. An error on the way is an event of
    its own, after which the stream ends without `[DONE]`. However the response ends, a client that hung up
    included, the engine's answers are closed, which frees their places.
    """

    def __init__(
        self, reply: wire.Reply, answers: Answers, num_choices: int, *, may_call: bool, include_usage: bool
    ) -> None:
        self._reply = reply
        self._answers = answers
        self._num_choices = num_choices
        self._num_calls: Counter[int] = Counter()
        """Of each choice, so far."""
        # An answer that turns out to be nothing but calls has no content, not even an empty one.
        self._beginning = wire.Delta(role="assistant", content=None if may_call else "")
        self._include_usage = include_usage
        self._first: Delta | None = None
        # Proxies are told to pass events on as they come.
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(self._events(), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client hangs up."""
        async with _closing(self._answers, receive):
            # Awaiting the first piece before the headers gives what fails at once a status of its own.
            self._first = await in_thread(next, self._answers, None)
            await super().__call__(scope, receive, send)

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            completions: list[Completion] = []
            for index in range(self._num_choices):
                yield _event(self._reply.chunk(index, self._beginning))
            delta = self._first
            while delta is not None:
                for chunk in self._chunks(delta):
                    yield _event(chunk)
                if delta.completion is not None:
                    completions.append(delta.completion)
                delta = await in_thread(next, self._answers, None)
            if len(completions) < self._num_choices:
                return  # Closed: nobody is there to read on.
            if self._include_usage:
                yield _event(self._reply.usage_chunk(completions))
            yield b"data: [DONE]\n\n"
        except Exception as error:
            logger.exception("the stream %s failed", self._reply.id)
            yield b"data: %s\n\n" % bytes(JSONResponse(fault_of(error).body).body)

    def _chunks(self, delta: Delta) -> Iterator[wire.ChatCompletionChunk]:
        if delta.text or delta.logprobs:
            content = wire.Delta(content=delta.text) if delta.text else wire.Delta()
            yield self._reply.chunk(delta.index, content, logprobs=delta.logprobs)
        for call in delta.tool_calls:
            called = wire.Delta(tool_calls=[ToolCallDelta.at(self._num_calls[delta.index], call)])
            self._num_calls[delta.index] += 1
            yield self._reply.chunk(delta.index, called)
        if delta.completion is not None:
            finish_reason = _succeeded(delta.completion).finish_reason
            yield self._reply.chunk(delta.index, wire.Delta(), finish_reason)


def _event(chunk: BaseModel) -> bytes:
    return b"data: %s\n\n" % chunk.model_dump_json(exclude_unset=True).encode()
