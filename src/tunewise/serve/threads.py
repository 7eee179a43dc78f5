"""Blocking work (the engine, the registry) beside the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

MAX_THREADS = 512
"""How many blocking calls run at once: more than an engine computes and keeps waiting together, so that it
sees, batches or refuses, all there are, and some threads are left for what takes no engine."""

_limiter_of_loop: RunVar[CapacityLimiter] = RunVar("tunewise.serve.threads")


async def in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Call `function` in a thread. When cancelled meanwhile, waits for it to return first."""
    limiter = _limiter_of_loop.get(None)
    if limiter is None:
        limiter = CapacityLimiter(MAX_THREADS)
        _limiter_of_loop.set(limiter)
    return await to_thread.run_sync(function, *arguments, limiter=limiter)
