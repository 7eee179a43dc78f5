"""Whatever goes wrong, in the one error body that OpenAI clients know, and a request id on every reply."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise.errors import (
    EndpointError,
    ModelNotFoundError,
    ModelUnavailableError,
    OverloadedError,
    RequestError,
    TunewiseError,
)

logger = logging.getLogger(__name__)

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
RATE_LIMIT = "rate_limit_error"


class Fault(Exception):
    """An error as the client sees it: a status, and the body `{"error": {...}}`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = INVALID_REQUEST,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": type, "param": param, "code": code}}
        self.headers = headers

    def response(self) -> JSONResponse:
        """The whole reply."""
        return JSONResponse(self.body, self.status, self.headers)


def fault_of(error: Exception) -> Fault:
    """What to tell the client about `error`; of a bug, no more than that there was one."""
    match error:
        case Fault():
            return error
        case RequestValidationError():
            return _validation_fault(error.errors()[0])
        case HTTPException():
            return Fault(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        case RequestError():
            return Fault(400, str(error), param=error.param, code=error.code)
        case ModelNotFoundError():
            return Fault(404, str(error), param="model", code="model_not_found")
        case ModelUnavailableError():
            # Clients retry a 5xx by themselves; missing files will not be back by then.
            headers = {"x-should-retry": "false"}
            code = "model_unavailable"
            return Fault(503, str(error), type=SERVER_ERROR, param="model", code=code, headers=headers)
        case OverloadedError():
            headers = {"retry-after": "1"}
            return Fault(429, str(error), type=RATE_LIMIT, code="rate_limit_exceeded", headers=headers)
        case EndpointError():
            return Fault(502, str(error), type=SERVER_ERROR, code="upstream_error")
        case TunewiseError():
            return Fault(400, str(error))
        case _:
            message = "The server had an error; its log has more under this request's id."
            return Fault(500, message, type=SERVER_ERROR)


def _validation_fault(error: dict[str, Any]) -> Fault:
    """The first thing wrong with a body, under the name that OpenAI gives the place: `messages[0].role`."""
    kind, reason = error["type"], error["msg"]
    if kind == "json_invalid":
        return Fault(400, f"The body is not valid JSON: {error['ctx']['error']}.")
    place, param = "", (error.get("ctx") or {}).get("param")
    for part in [*error["loc"][1:], *([param] if param else [])]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    place = place.encode(errors="replace").decode()  # An unknown field's name may be no proper text.
    match kind:
        case _ if not place:
            return Fault(400, f"The body must be a JSON object: {reason}.")
        case "extra_forbidden":
            message, code = f"Unrecognized request argument supplied: {place}.", "unknown_parameter"
        case "missing":
            message, code = f"Missing required parameter: {place}.", "missing_required_parameter"
        case "unsupported":
            message, code = f"Invalid value for {place}: {reason}.", "unsupported_parameter"
        case _:
            message, code = f"Invalid value for {place}: {reason}.", "invalid_value"
    return Fault(400, message, param=place, code=code)


def report_faults(app: FastAPI) -> None:
    """Make every error of `app`, and of whatever it mounts, a `Fault` with a request id."""

    async def respond(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, HTTPException) and error.status_code in (404, 405):
            return _no_route(request, error).response()
        return fault_of(error).response()

    for kind in (Fault, TunewiseError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, respond)
    app.add_middleware(RequestIds)


def _no_route(request: Request, error: HTTPException) -> Fault:
    if error.status_code == 404:
        return Fault(404, f"Unknown request URL: {request.method} {request.url.path}.", code="unknown_url")
    message = f"Not allowed to {request.method} on {request.url.path}."
    return Fault(405, message, code="method_not_allowed", headers=dict(error.headers or {}))


class RequestIds:
    """ASGI middleware that names each request in `x-request-id`, and logs a bug under that name."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid.uuid4().hex}"
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        except Exception as error:
            if started:
                raise
            logger.exception("request %s failed", request_id)
            await fault_of(error).response()(scope, receive, send_named)
