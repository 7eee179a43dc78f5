"""Answers under way, as who asked for them sees them."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Protocol

from tunewise.engines.base import Delta


class Cancellable(Protocol):
    """One answer, as its engine works on it."""

    def cancel(self) -> object:
        """Give it up. Never blocks."""


class QueuedAnswers:
    """The deltas of `num_requests` answers in the order they come (implements `Answers`).

    `turn` computes one step of the engine; None where another thread does.
    """

    def __init__(self, num_requests: int, turn: Callable[[], None] | None = None) -> None:
        self.parts: Sequence[Cancellable] = ()
        """What is cancelled when they are closed."""
        self._num_open = num_requests
        self._turn = turn
        self._delivered: queue.SimpleQueue[Delta | BaseException | None] = queue.SimpleQueue()

    def deliver(self, delta: Delta | BaseException) -> None:
        """What the engine calls with each piece of an answer, or with what went wrong."""
        self._delivered.put(delta)

    def __iter__(self) -> QueuedAnswers:
        return self

    def __next__(self) -> Delta:
        if self._num_open <= 0:
            raise StopIteration
        while self._turn is not None and self._delivered.empty():
            self._turn()
        delta = self._delivered.get()
        if delta is None:
            raise StopIteration
        if isinstance(delta, BaseException):
            self.close()
            raise delta
        self._num_open -= delta.completion is not None
        return delta

    def close(self) -> None:
        """See `Answers`."""
        # Told before the parts are: what a cancelled one has to say of it is for nobody any more.
        self._num_open = 0
        self._delivered.put(None)
        for part in self.parts:
            part.cancel()
