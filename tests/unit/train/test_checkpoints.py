"""An interrupted training goes on as if nothing had happened, or says clearly why it cannot."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from toy import make_loaded, make_token_rows
from tunewise.errors import RunFolderError, TrainingError
from tunewise.train import checkpoints as checkpoints_module
from tunewise.train import loop
from tunewise.train.checkpoints import Checkpoints
from tunewise.train.loop import TrainingResult, train_weights
from tunewise.train.objectives import mean_loss
from tunewise.train.spec import ResolvedSpec, TrainSpec
from tunewise.train.tuning import FullTuning, LoRATuning, Tuning
from tunewise.train.watch import StepMetrics, Watch

SPEC = TrainSpec(
    rank=4, epochs=3, batch_size=4, learning_rate=5e-3, dropout=0.1, validations=4, checkpoint_seconds=0
).resolve(10)
IDENTITY = {"seed": 0, "rows": "abc"}


class StopAt:
    """Asks the process to stop while a step is under way, as Ctrl-C or `kill` would."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.step, self.number = step, number

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
        self.done = list(done)

    def on_step(self, metrics: StepMetrics) -> None:
        if metrics.step == self.step:
            os.kill(os.getpid(), self.number)

    def on_end(self) -> None:
        pass


def open_tuning(spec: ResolvedSpec) -> Tuning:
    return LoRATuning(make_loaded(), spec) if spec.tuning == "lora" else FullTuning(make_loaded())


def train(
    folder: Path | None, spec: ResolvedSpec = SPEC, watches: Sequence[Watch] = (), **identity: Any
) -> tuple[Tuning, TrainingResult]:
    tuning = open_tuning(spec)
    kept = Checkpoints(folder, {**IDENTITY, **identity}, spec.checkpoint_seconds) if folder else None
    return tuning, train_weights(tuning, make_token_rows(10), make_token_rows(4, seed=9), spec, watches, kept)


def without_seconds(result: TrainingResult) -> list[tuple[Any, ...]]:
    return [(m.step, m.learning_rate, m.train_loss, m.validation_loss, m.tokens) for m in result.metrics]


def newest(folder: Path) -> Path:
    return max(folder.glob("step-*"))


@pytest.mark.parametrize("tuning_name", ["lora", "full"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_ends_as_one_that_was_not(
    tmp_path: Path, number: int, tuning_name: str
) -> None:
    spec = SPEC.model_copy(update={"tuning": tuning_name})
    whole, expected = train(None, spec)
    for step in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, spec, [StopAt(step, number)])
        assert newest(tmp_path).name == f"step-{step:08d}.safetensors"
    last = StopAt(0)
    resumed, result = train(tmp_path, spec, [last])
    assert [metrics.step for metrics in last.done] == [1, 2, 3, 4, 5]
    assert without_seconds(result) == without_seconds(expected)
    assert result.best_step == expected.best_step
    assert result.logprobs == expected.logprobs
    # The adapter's best step is before the last interruption, so that this came out of a checkpoint.
    assert tuning_name == "full" or expected.best_step <= 5
    for name, weight in whole.weights.items():
        assert torch.equal(weight, resumed.weights[name]), name


def test_it_goes_on_with_as_many_threads_as_it_began_with(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    kept = Checkpoints(tmp_path, IDENTITY, 0)
    rows, validation = make_token_rows(10), make_token_rows(4, seed=9)
    with pytest.raises(KeyboardInterrupt):
        train_weights(open_tuning(SPEC), rows, validation, SPEC, [StopAt(3)], kept, before + 1)
    resumed = train_weights(open_tuning(SPEC), rows, validation, SPEC, (), kept, before)
    assert resumed.threads == before + 1
    assert torch.get_num_threads() == before


def test_signals_are_handled_as_before_once_training_is_over(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_two_checkpoints_are_kept_and_leftovers_of_a_killed_process_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.safetensors.123.tmp").write_bytes(b"half")
    train(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "step-00000008.safetensors", "step-00000009.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("damage", ["cut", "empty", "a flipped bit"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    whole, expected = train(None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, watches=[StopAt(5)])
    content = bytearray(newest(tmp_path).read_bytes())
    content[-100] ^= 1
    newest(tmp_path).write_bytes({"cut": content[:-1], "empty": b"", "a flipped bit": content}[damage])
    last = StopAt(0)
    resumed, result = train(tmp_path, watches=[last])
    assert len(last.done) == 4
    assert without_seconds(result) == without_seconds(expected)
    assert all(torch.equal(weight, resumed.weights[name]) for name, weight in whole.weights.items())


def test_where_every_checkpoint_is_damaged_it_says_so(tmp_path: Path) -> None:
    train(tmp_path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"nonsense")
    with pytest.raises(RunFolderError, match=f"every checkpoint in {tmp_path} is damaged"):
        train(tmp_path)


def test_a_checkpoint_of_another_training_is_refused_with_what_differs(tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(RunFolderError, match="rows was 'abc', is 'xyz'; seed was 0, is 1"):
        train(tmp_path, rows="xyz", seed=1)


def test_a_full_disk_is_named_and_costs_one_checkpoint_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = train(None)
    written = []

    def save_file(tensors: Any, path: Path, **options: Any) -> None:
        if len(written) == 3:
            path.write_bytes(b"as much as there was room for")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(path)
        real_save_file(tensors, path, **options)

    real_save_file = checkpoints_module.save_file
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints_module, "save_file", save_file)
        with pytest.raises(RunFolderError, match=r"checkpoint of step 4 cannot be written.*No space left"):
            train(tmp_path)
    assert newest(tmp_path).name == "step-00000003.safetensors"
    resumed, _ = train(tmp_path)
    assert all(torch.equal(weight, resumed.weights[name]) for name, weight in whole.weights.items())


def test_a_write_that_the_system_cuts_short_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(RunFolderError, match=r"checkpoint of step 1 cannot be written.*File too large"):
            train(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_leaves_the_best_weights_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPEC.model_copy(update={"validations": 9, "patience": 9})
    _, expected = train(None, spec.model_copy(update={"checkpoint_seconds": 1e9}))
    losses = iter(range(100))

    def diverging(*arguments: Any) -> float:
        return real(*arguments) if next(losses) < 6 else float("nan")

    real = loop.accumulate_gradients
    monkeypatch.setattr(loop, "accumulate_gradients", diverging)
    tuning = open_tuning(spec)
    kept = Checkpoints(tmp_path, IDENTITY, 1e9)
    with pytest.raises(TrainingError, match=r"nan at step 7: lower the learning rate \(0\.00") as caught:
        train_weights(tuning, make_token_rows(10), make_token_rows(4, seed=9), spec, (), kept)
    assert 1 <= caught.value.best_step <= 6
    best = min(m.validation_loss for m in expected.metrics[:6] if m.validation_loss is not None)
    assert mean_loss(tuning.model, make_token_rows(4, seed=9), 4096) == best
    assert newest(tmp_path).name == "step-00000006.safetensors"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_where_memory_is_too_small_less_is_computed_at_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    limits = []

    def hungry(model: Any, batch: Any, micro_batch_tokens: int) -> float:
        limits.append(micro_batch_tokens)
        if micro_batch_tokens > 64:
            real(model, batch[:1], micro_batch_tokens)  # what was added before it failed must not stay
            raise error
        return real(model, batch, micro_batch_tokens)

    real = loop.accumulate_gradients
    monkeypatch.setattr(loop, "accumulate_gradients", hungry)
    spec = SPEC.model_copy(update={"dropout": 0.0})
    _, result = train(None, spec)
    monkeypatch.undo()
    _, expected = train(None, spec)
    assert limits[:8] == [4096, 2048, 1024, 512, 256, 128, 64, 64]
    assert result.micro_batch_tokens == 64
    losses = [m.train_loss for m in expected.metrics]
    assert [m.train_loss for m in result.metrics] == pytest.approx(losses, rel=1e-4)


def test_where_not_one_example_fits_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: Any) -> float:
        raise MemoryError

    monkeypatch.setattr(loop, "accumulate_gradients", starved)
    with pytest.raises(TrainingError, match=r"not enough memory for one example \(\d+ tokens\)"):
        train(None)


def test_another_error_of_the_runtime_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> float:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(loop, "accumulate_gradients", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        train(None)
