"""Who hears of a training as it goes on: a file, the terminal, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TextIO

from tunewise.errors import SpecError
from tunewise.progress import Progress, Task, describe_seconds
from tunewise.settings import Settings
from tunewise.store.files import write_jsonl


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one optimiser step, and the validation after it if there was one, measured."""

    step: int
    learning_rate: float
    train_loss: float
    """Mean negative log-likelihood, in nats, over the step's trained tokens."""
    validation_loss: float | None
    tokens: int
    """Since training began."""
    seconds: float
    """Of training until here, without the time between an interruption and going on."""


class Watch(Protocol):
    """Hears of each step. What it raises ends the training, so it takes care of what it can."""

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
        """Training begins, or goes on after the steps that are `done`."""

    def on_step(self, metrics: StepMetrics) -> None:
        """A step is done."""

    def on_end(self) -> None:
        """Training is over, or interrupted, or has failed."""


class MetricsFile:
    """One line of JSON per step, there to read as soon as the step is done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:  # noqa: ARG002 - the protocol's
        """Drop what an interrupted training wrote after its last checkpoint: those steps come again."""
        write_jsonl(self._path, (asdict(metrics) for metrics in done))
        self._file = self._path.open("a", encoding="utf-8")

    def on_step(self, metrics: StepMetrics) -> None:
        """Append."""
        assert self._file is not None
        self._file.write(json.dumps(asdict(metrics), allow_nan=False) + "\n")
        self._file.flush()

    def on_end(self) -> None:
        """Close."""
        if self._file is not None:
            self._file.close()


class ProgressWatch:
    """The bar, or the lines, of `progress`: loss, speed, what it has cost so far, and the time left."""

    def __init__(
        self, progress: Progress, settings: Settings, seconds_left: Callable[[], float] | None = None
    ) -> None:
        self._progress = progress
        self._settings = settings
        self._seconds_left = seconds_left
        self._open = ExitStack()
        self._task: Task | None = None

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
        """Say where it goes on, and show the bar."""
        if done:
            self._progress.say(f"going on after step {len(done)} of {num_steps}")
        self._task = self._open.enter_context(self._progress.task("training", num_steps))
        self._task.advance(len(done))

    def on_step(self, metrics: StepMetrics) -> None:
        """Move the bar."""
        assert self._task is not None
        cost = self._settings.cost(metrics.seconds)
        left = f", {describe_seconds(self._seconds_left())} left" if self._seconds_left else ""
        self._task.advance(
            1,
            f"loss {metrics.train_loss:.3f}, {metrics.tokens / metrics.seconds:.0f} tokens/s, "
            f"{cost:.4f} {self._settings.currency}{left}",
        )

    def on_end(self) -> None:
        """Close the bar."""
        self._open.close()


class TensorBoardWatch:
    """Losses, rate and speed as scalars in TensorBoard's event files, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Raises `SpecError` where TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SpecError(
                "TensorBoard is not installed: pip install 'tunewise[tensorboard]', or drop --tensorboard"
            ) from error
        self._folder = folder
        self._writer_class = SummaryWriter
        self._writer: SummaryWriter | None = None

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:  # noqa: ARG002 - the protocol's
        """Tell TensorBoard to forget the steps of an interrupted training that come again."""
        self._writer = self._writer_class(self._folder, purge_step=len(done) + 1)

    def on_step(self, metrics: StepMetrics) -> None:
        """Write the scalars, and let them be seen at once."""
        assert self._writer is not None
        scalars = {
            "loss/train": metrics.train_loss,
            "loss/validation": metrics.validation_loss,
            "learning_rate": metrics.learning_rate,
            "tokens_per_second": metrics.tokens / metrics.seconds,
        }
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, metrics.step)
        self._writer.flush()

    def on_end(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
