"""Running the API: in the foreground for `tunewise serve`, or in a thread of the process that asks it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from tunewise.errors import SpecError

SHUTDOWN_S = 5
"""How long requests under way may go on once the server is told to stop."""

BACKLOG = 2048
"""How many connections wait to be accepted."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens here; port 0 takes any free one. Raises `SpecError` where it is taken."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"cannot serve on {host} port {port}: {reason}; choose another one") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """`http://host:port` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_server(app: FastAPI, listener: socket.socket) -> None:
    """Serve on `listener` until interrupted (Ctrl-C, SIGTERM), then let requests under way end."""
    with contextlib.suppress(KeyboardInterrupt):
        _server(app).run(sockets=[listener])


@contextlib.contextmanager
def background_server(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread while the block runs. Gives the `base_url` for OpenAI clients, `/v1` included."""
    listener = listen(host, port)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="tunewise-serve")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server ended before it accepted requests")
            time.sleep(0.01)
        yield f"{url_of(listener)}/v1"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_S)
    return uvicorn.Server(config)
