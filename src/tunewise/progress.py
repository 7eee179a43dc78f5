"""How long work tells whoever watches how far it is; the layers below are handed one of these."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One long step under way."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Count `amount` more of the total as done; `note` is shown beside the bar."""


class Progress(Protocol):
    """Where stages announce themselves: a terminal, a log, nothing."""

    def say(self, text: str) -> None:
        """One line worth keeping on the screen."""

    def task(self, label: str, total: float) -> AbstractContextManager[Task]:
        """A context manager around one long step of `total` units."""


def describe_seconds(seconds: float) -> str:
    """A length of time that is not known to the second."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class _SilentTask:
    def advance(self, amount: float = 1, note: str = "") -> None:
        """Nobody watches."""


class SilentProgress:
    """For library callers and tests."""

    def say(self, text: str) -> None:
        """Nobody watches."""

    @contextmanager
    def task(self, label: str, total: float) -> Iterator[Task]:  # noqa: ARG002 - the protocol's
        """A step that nobody watches."""
        yield _SilentTask()
