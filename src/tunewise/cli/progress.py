"""Progress on stderr: a live bar on a terminal, a line at each end of a step in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as LiveBars

from tunewise.progress import Task


class RichProgress:
    """The `tunewise.progress.Progress` of the command line. Steps follow each other; they do not nest."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def task(self, label: str, total: float) -> Iterator[Task]:
        """Show one step of `total` units while the block runs."""
        if self._console.is_terminal:
            with self._live_bars() as bars:
                yield _BarTask(bars, bars.add_task(label, total=total, note=""))
            return
        self.say(f"{label} ...")
        task, started = _LoggedTask(), time.monotonic()
        outcome = "stopped"
        try:
            yield task
            outcome = "done"
        finally:
            at = "" if outcome == "done" else f" at {task.done:g} of {total:g}"
            note = f" ({task.note})" if task.note else ""
            self.say(f"{label}: {outcome}{at} after {time.monotonic() - started:.1f} s{note}")

    def _live_bars(self) -> LiveBars:
        return LiveBars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
        )


class _BarTask:
    def __init__(self, bars: LiveBars, task_id: TaskID) -> None:
        self._bars = bars
        self._task_id = task_id

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Move the bar."""
        self._bars.update(self._task_id, advance=amount, note=note)


class _LoggedTask:
    """Remembers how far it came, for the closing line."""

    def __init__(self) -> None:
        self.done = 0.0
        self.note = ""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Remember."""
        self.done += amount
        self.note = note
