"""Ctrl-C and `kill` as a question that training answers between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.came = False

    def note(self, *_: object) -> None:
        """Remember the first request; the second, from someone who will not wait, stops at once."""
        if self.came:
            raise KeyboardInterrupt
        self.came = True


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """Turn SIGINT and SIGTERM into `Interrupts.came` while the block runs.

    Only a process's main thread hears of signals: on any other nothing is deferred.
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = {number: signal.signal(number, interrupts.note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
