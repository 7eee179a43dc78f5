"""The HTTP API: an engine and a registry behind OpenAI's routes.

Every request names a model and that model answers it, under its own id. Handlers never block: the engine
and the registry are called in threads, so requests meet in the engine, which batches them.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, FastAPI, Header
from pydantic import BaseModel
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from tunewise.engines.base import Delta, Engine
from tunewise.records import ChatRequest, Completion
from tunewise.serve import wire
from tunewise.serve.faults import SERVER_ERROR, Fault, fault_of, report_faults
from tunewise.serve.models import ServedModels
from tunewise.serve.threads import in_thread
from tunewise.store.registry import Registry

logger = logging.getLogger(__name__)

DEFAULT_MAX_TOKENS = 512
"""Length of an answer whose request sets no limit."""


def create_app(
    engine: Engine,
    registry: Registry,
    *,
    base: str | None = None,
    api_key: str | None = None,
    default_max_tokens: int = DEFAULT_MAX_TOKENS,
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
    app.include_router(_chat_routes(engine, served, default_max_tokens), prefix="/v1", dependencies=keyed)

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


def _chat_routes(engine: Engine, served: ServedModels, default_max_tokens: int) -> APIRouter:
    router = APIRouter()

    @router.post("/chat/completions", response_model=wire.ChatCompletion)
    async def create_chat_completion(
        body: wire.ChatCompletionRequest,
    ) -> wire.ChatCompletion | StreamingResponse:
        request = body.to_record(default_max_tokens)
        await served.make_ready(request.model)
        await in_thread(engine.check, request)
        reply = wire.Reply.to_model(request.model)
        if not body.stream:
            [completion] = await in_thread(engine.generate, [request])
            return reply.completion(_succeeded(completion))
        deltas = _deltas(engine, request)
        # Awaiting the first piece here gives a request that fails at once a status of its own.
        first = await in_thread(next, deltas, None)
        return ChatStream(reply, first, deltas, include_usage=body.include_usage)

    return router


def _succeeded(completion: Completion) -> Completion:
    if completion.finish_reason == "error":
        raise Fault(500, f"The model could not answer: {completion.error}", type=SERVER_ERROR)
    return completion


def _deltas(engine: Engine, request: ChatRequest) -> Generator[Delta, None, None]:
    """The engine's stream, as something that can be closed."""
    yield from engine.stream(request)


class ChatStream(StreamingResponse):
    """Server-sent events: the role, the text, why it ended, what it cost if asked, `[DONE]`.

    An error on the way is an event of its own, after which the stream ends without `[DONE]`. However the
    response ends, a client that hung up included, the engine's stream is closed, which frees its place.
    """

    def __init__(
        self,
        reply: wire.Reply,
        first: Delta | None,
        deltas: Generator[Delta, None, None],
        *,
        include_usage: bool,
    ) -> None:
        self._reply = reply
        self._deltas = deltas
        # Proxies are told to pass events on as they come.
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(self._events(first, include_usage), media_type="text/event-stream", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client hangs up."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(self._deltas.close)

    async def _events(self, delta: Delta | None, include_usage: bool) -> AsyncIterator[bytes]:
        try:
            completion = None
            yield _event(self._reply.chunk(wire.Delta(role="assistant", content="")))
            while delta is not None:
                if delta.text:
                    yield _event(self._reply.chunk(wire.Delta(content=delta.text)))
                completion = delta.completion
                delta = await in_thread(next, self._deltas, None)
            assert completion is not None, "an engine's last delta carries the completion"
            yield _event(self._reply.chunk(wire.Delta(), _succeeded(completion).finish_reason))
            if include_usage:
                yield _event(self._reply.usage_chunk(completion))
            yield b"data: [DONE]\n\n"
        except Exception as error:
            logger.exception("the stream %s failed", self._reply.id)
            yield b"data: %s\n\n" % bytes(JSONResponse(fault_of(error).body).body)


def _event(chunk: BaseModel) -> bytes:
    return b"data: %s\n\n" % chunk.model_dump_json(exclude_unset=True).encode()
