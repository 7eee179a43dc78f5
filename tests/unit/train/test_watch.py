from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewise.errors import SpecError
from tunewise.settings import get_settings
from tunewise.store.files import read_jsonl
from tunewise.train.watch import MetricsFile, ProgressWatch, StepMetrics, TensorBoardWatch, Watch

STEPS = [
    StepMetrics(1, 1e-3, 2.5, None, 100, 1.0),
    StepMetrics(2, 5e-4, 1.5, 1.75, 220, 2.0),
    StepMetrics(3, 1e-4, 1.25, None, 300, 4.0),
]


def show(watch: Watch, steps: list[StepMetrics], done: list[StepMetrics]) -> None:
    watch.on_start(3, done)
    for metrics in steps:
        watch.on_step(metrics)
    watch.on_end()


def test_each_step_can_be_read_as_soon_as_it_is_done(tmp_path: Path) -> None:
    watch = MetricsFile(tmp_path / "metrics.jsonl")
    watch.on_start(3, [])
    for number, metrics in enumerate(STEPS, start=1):
        watch.on_step(metrics)
        assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == list(range(1, number + 1))
    watch.on_end()
    assert read_jsonl(tmp_path / "metrics.jsonl")[1]["validation_loss"] == 1.75


def test_steps_that_come_again_are_not_there_twice(tmp_path: Path) -> None:
    show(MetricsFile(tmp_path / "metrics.jsonl"), STEPS, [])
    show(MetricsFile(tmp_path / "metrics.jsonl"), STEPS[1:], STEPS[:1])
    assert [row["step"] for row in read_jsonl(tmp_path / "metrics.jsonl")] == [1, 2, 3]


class Terminal:
    """Keeps what it is told (implements `Progress` and `Task`)."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.done = 0.0
        self.closed = False

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def task(self, label: str, total: float) -> Iterator[Terminal]:
        self.total = total
        yield self
        self.closed = True

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        self.said.append(note)


def test_the_bar_goes_on_where_training_does_and_says_what_it_costs() -> None:
    terminal = Terminal()
    settings = replace(get_settings(), hourly_price=3.6, currency="EUR")
    show(ProgressWatch(terminal, settings), STEPS[1:], STEPS[:1])
    assert terminal.said[0] == "going on after step 1 of 3"
    assert (terminal.done, terminal.total, terminal.closed) == (3, 3, True)
    assert terminal.said[-1] == "loss 1.250, 75 tokens/s, 0.0040 EUR"


def test_the_bar_says_how_much_time_is_left() -> None:
    terminal = Terminal()
    watch = ProgressWatch(terminal, replace(get_settings(), hourly_price=0.0, currency="EUR"), lambda: 130.0)
    show(watch, STEPS[:1], [])
    assert terminal.said[-1] == "loss 2.500, 100 tokens/s, 0.0000 EUR, 2 min left"


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="TensorBoard is not installed")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    show(TensorBoardWatch(tmp_path), STEPS[:2], [])
    show(TensorBoardWatch(tmp_path), STEPS[1:], STEPS[:1])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/train")] == [(1, 2.5), (2, 1.5), (3, 1.25)]
    assert [(e.step, e.value) for e in events.Scalars("loss/validation")] == [(2, 1.75)]
    assert [e.step for e in events.Scalars("learning_rate")] == [1, 2, 3]
    assert events.Scalars("tokens_per_second")[2].value == 75


def test_without_tensorboard_it_says_what_to_install(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SpecError, match=r"pip install 'tunewise\[tensorboard\]'"):
        TensorBoardWatch(tmp_path)
