"""What is said of a training before it begins: exact in tokens, honest in memory, without effect."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from toy import make_loaded, make_token_rows, save_base, write_rows
from tunewise.data.dataset import read_dataset
from tunewise.models.base import find_base
from tunewise.progress import SilentProgress, describe_seconds
from tunewise.records import Message
from tunewise.settings import get_settings
from tunewise.train import objectives, probe
from tunewise.train.checkpoints import Checkpoints
from tunewise.train.estimate import (
    EstimateWatch,
    TrainingEstimate,
    bytes_to_come,
    likely_seconds,
    measure_trainings,
)
from tunewise.train.loop import train_weights
from tunewise.train.probe import Pace, Probe
from tunewise.train.spec import ResolvedSpec, TrainSpec
from tunewise.train.tuning import FullTuning, LoRATuning, Tuning
from tunewise.train.tuning import open_tuning as open_base
from tunewise.train.watch import StepMetrics, Watch
from tunewise.train.workload import plan_workload

SPEC = TrainSpec(
    rank=4, epochs=3, batch_size=4, learning_rate=5e-3, dropout=0.1, validations=4, checkpoint_seconds=0
).resolve(22)
TRAIN, VALIDATION = make_token_rows(22), make_token_rows(9, seed=9)
SETTINGS = replace(get_settings(), hourly_price=3600.0, currency="EUR")


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class StopAfter:
    """A `Watch` that has the process asked to stop."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
        pass

    def on_step(self, metrics: StepMetrics) -> None:
        if metrics.step == self.step:
            os.kill(os.getpid(), signal.SIGINT)

    def on_end(self) -> None:
        pass


def open_tuning(spec: ResolvedSpec = SPEC) -> Tuning:
    return LoRATuning(make_loaded(), spec) if spec.tuning == "lora" else FullTuning(make_loaded())


def watch(tuning: Tuning, spec: ResolvedSpec = SPEC, said: Said | None = None) -> EstimateWatch:
    return EstimateWatch(tuning, TRAIN, VALIDATION, spec, said or Said(), SETTINGS)


def train(tuning: Tuning, spec: ResolvedSpec, watches: Sequence[Watch], folder: Path | None = None) -> Any:
    kept = Checkpoints(folder, {}, 0) if folder else None
    return train_weights(tuning, TRAIN, VALIDATION, spec, watches, kept)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of each forward pass."""
    tokens: list[int] = []
    real = objectives.pack_examples

    def counting(*arguments: Any) -> Any:
        pack = real(*arguments)
        tokens.append(pack.num_tokens)
        return pack

    monkeypatch.setattr(objectives, "pack_examples", counting)
    return tokens


@pytest.mark.parametrize("tuning_name", ["lora", "full"])
def test_estimating_leaves_no_trace_in_what_is_trained(tuning_name: str) -> None:
    spec = SPEC.model_copy(update={"tuning": tuning_name})
    plain, watched = open_tuning(spec), open_tuning(spec)
    expected = train(plain, spec, [])
    torch.manual_seed(5)
    before = torch.get_rng_state()
    estimates = watch(watched, spec)
    estimates.on_start(18, [])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(weight.grad is None for weight in watched.weights.values())
    result = train(watched, spec, [watch(watched, spec)])
    assert [m.train_loss for m in result.metrics] == [m.train_loss for m in expected.metrics]
    for name, weight in plain.weights.items():
        assert torch.equal(weight, watched.weights[name]), name


@pytest.mark.parametrize("micro_batch_tokens", [4096, 40])
def test_the_tokens_it_says_are_those_that_are_computed(computed: list[int], micro_batch_tokens: int) -> None:
    spec = SPEC.model_copy(update={"micro_batch_tokens": micro_batch_tokens})
    tuning = open_tuning(spec)
    estimates = watch(tuning, spec)

    class Forget(StopAfter):
        def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
            computed.clear()  # What the probe computed.

    train(tuning, spec, [estimates, Forget(0)])
    assert estimates.first is not None
    assert estimates.first.tokens == sum(computed)


def test_a_training_that_goes_on_is_estimated_for_what_is_left(tmp_path: Path, computed: list[int]) -> None:
    said = Said()
    with pytest.raises(KeyboardInterrupt):
        train(open_tuning(), SPEC, [watch(open_tuning()), StopAfter(7)], tmp_path)
    plain = open_tuning()
    train(plain, SPEC, [])

    class Forget(StopAfter):
        def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
            computed.clear()

    resumed = open_tuning()
    estimates = watch(resumed, said=said)
    result = train(resumed, SPEC, [estimates, Forget(0)], tmp_path)
    assert estimates.first is not None
    assert estimates.first.tokens == sum(computed)
    assert said.lines[0].startswith("estimate of the 11 of 18 steps that are left: ")
    scored = estimates.score()
    assert scored is not None
    assert scored.seconds == pytest.approx(result.seconds - result.metrics[6].seconds)
    assert all(torch.equal(weight, resumed.weights[name]) for name, weight in plain.weights.items())
    over = watch(open_tuning())
    train(open_tuning(), SPEC, [over], tmp_path)
    assert over.score() is None


@pytest.mark.parametrize("tuning_name", ["lora", "full"])
def test_no_more_memory_is_taken_than_was_said(tuning_name: str) -> None:
    spec = SPEC.model_copy(update={"tuning": tuning_name})
    tuning = open_tuning(spec)
    estimates = watch(tuning, spec)
    train(tuning, spec, [estimates])
    scored = estimates.score()
    assert scored is not None
    assert scored.memory_within
    assert 0 < scored.peak_memory_bytes <= scored.first.peak_memory_bytes


def test_what_the_loop_will_keep_is_counted_until_it_keeps_it() -> None:
    tuning = open_tuning()
    size = 4 * sum(weight.numel() for weight in tuning.weights.values())
    step = StepMetrics(1, 1e-3, 2.0, None, 100, 1.0)
    assert bytes_to_come(tuning, []) == 3 * size
    assert bytes_to_come(tuning, [step]) == size
    assert bytes_to_come(tuning, [step, replace(step, validation_loss=2.0)]) == 0


def test_seconds_follow_the_tokens_of_each_step_and_its_validation() -> None:
    work = plan_workload(TRAIN, VALIDATION, SPEC, [], 4096)
    seconds = likely_seconds(work, Pace(1.0, 0.5, 10.0, (1.0, 1.0)))
    trained = 3 * sum(len(row.ids) - 1 for row in TRAIN)
    validated = sum(len(row.ids) - 1 for row in VALIDATION)
    assert seconds[0] == 0
    assert len(seconds) == 19
    assert seconds[-1] == pytest.approx(trained + 18 * 10 + 4 * 0.5 * validated)
    assert work.num_tokens == trained + 4 * validated


def fixed_pace(
    estimates: EstimateWatch,
    monkeypatch: pytest.MonkeyPatch,
    spread: tuple[float, float] = (1.0, 1.0),
) -> None:
    monkeypatch.setattr(Probe, "measure_pace", lambda self, work: Pace(0.01, 0.01, 0.0, spread))
    estimates.on_start(18, [])


def test_the_first_steps_refine_what_was_said_and_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = Said()
    estimates = watch(open_tuning(), said=said)
    fixed_pace(estimates, monkeypatch)
    first = estimates.first
    assert first is not None
    assert (first.cost_low, first.cost_high, first.currency) == (first.seconds_low, first.seconds_high, "EUR")
    likely = estimates.seconds_left()
    assert first.seconds_low < likely < first.seconds_high
    # Steps take twice as long as the probe made likely.
    for step in range(1, 19):
        expected = 2 * estimates._likely[step]
        estimates.on_step(StepMetrics(step, 1e-3, 2.0, None, 100, expected))
        assert estimates.seconds_left() == pytest.approx(2 * likely - expected)
        assert (estimates.refined is None) == (step < 3)
    assert estimates.refined is not None
    assert estimates.refined.seconds_low < 2 * likely < estimates.refined.seconds_high
    assert [line.partition(":")[0] for line in said.lines] == ["estimate", "estimate after 3 steps"]
    scored = estimates.score()
    assert scored is not None
    assert (scored.seconds_within, scored.refined_within) == (False, True)
    assert "outside the estimate" in scored.describe()


@pytest.mark.parametrize(("batch_size", "is_whole"), [(64, False), (4, True)])
def test_of_validation_no_more_is_tried_than_tells_its_time_and_the_most_memory(
    computed: list[int], batch_size: int, is_whole: bool
) -> None:
    spec = SPEC.model_copy(update={"batch_size": batch_size})
    work = plan_workload(make_token_rows(64), make_token_rows(100, seed=9), spec, [], 4096)
    (validation,) = work.validation
    largest = max(batch.num_tokens for batch in work.micro_batches)
    assert largest > 512 or is_whole
    Probe(open_tuning(spec), spec).measure_pace(work)
    assert computed[-1] == validation.num_tokens if is_whole else computed[-1] <= largest


def test_models_that_are_trained_alike_are_tried_in_one_loading_of_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, home=tmp_path / "home", device="cpu")
    base = find_base(str(save_base(tmp_path / "toy")), settings)
    short = read_dataset(write_rows(tmp_path / "rows.jsonl", 40)).examples
    # What rows of one batch share is computed once, so they differ from the first character.
    long = [
        replace(row, messages=(Message("user", f"{number} times " * 40), *row.messages[1:]))
        for number, row in enumerate(short)
    ]
    loaded: list[str] = []

    def opening(*arguments: Any) -> Any:
        loaded.append("base")
        return open_base(*arguments)

    monkeypatch.setattr("tunewise.train.estimate.open_tuning", opening)
    monkeypatch.setattr(Probe, "measure_pace", lambda self, work: Pace(0.01, 0.001, 0.1, (1.0, 1.0)))
    sides = [(short[:30], short[30:]), (long[:30], long[30:])]
    quick, slow = measure_trainings(base, sides, 100, TrainSpec(batch_size=8), None, settings)
    assert loaded == ["base"]
    assert slow.per_example > 3 * quick.per_example
    assert slow.validations > 3 * quick.validations
    assert slow.seconds(30) - slow.seconds(29) == pytest.approx(slow.per_example)


def test_an_unsteady_machine_widens_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    steady, unsteady = watch(open_tuning()), watch(open_tuning())
    fixed_pace(steady, monkeypatch)
    fixed_pace(unsteady, monkeypatch, (0.5, 3.0))
    assert steady.first is not None
    assert unsteady.first is not None
    assert unsteady.first.seconds_low == pytest.approx(0.5 * steady.first.seconds_low)
    assert unsteady.first.seconds_high == pytest.approx(3.0 * steady.first.seconds_high)


def test_a_training_that_may_stop_early_may_be_over_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = SPEC.model_copy(update={"patience": 1, "validations": 6})
    work = plan_workload(TRAIN, VALIDATION, impatient, [], 4096)
    assert work.earliest_end == 6  # The second of the validations after 3, 6, ...
    done = [StepMetrics(i, 1e-3, 2.0, 2.0 - i if i == 3 else None, 100, 1.0) for i in (1, 2, 3, 4)]
    assert plan_workload(TRAIN, VALIDATION, impatient, done, 4096).earliest_end == 2
    patient, hasty = watch(open_tuning()), watch(open_tuning(), impatient)
    for estimates in (patient, hasty):
        fixed_pace(estimates, monkeypatch)
    assert patient.first is not None
    assert hasty.first is not None
    assert hasty.first.seconds_low < 0.6 * patient.first.seconds_low


def test_where_memory_is_too_small_it_estimates_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    real = probe.accumulate_gradients

    def hungry(model: Any, batch: Any, micro_batch_tokens: int) -> float:
        if micro_batch_tokens > 64:
            raise MemoryError
        return real(model, batch, micro_batch_tokens)

    monkeypatch.setattr(probe, "accumulate_gradients", hungry)
    tuning = open_tuning()
    tried = Probe(tuning, SPEC)
    tried.measure_pace(plan_workload(TRAIN, VALIDATION, SPEC, [], 4096))
    assert tried.micro_batch_tokens == 64
    estimates = watch(tuning)
    estimates.on_start(18, [])
    assert estimates.first is not None
    assert estimates.first.tokens == plan_workload(TRAIN, VALIDATION, SPEC, [], 64).num_tokens


def test_only_the_first_of_several_workloads_is_tried_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []

    def counting(model: Any, batch: Any, micro_batch_tokens: int) -> float:
        computed.append(len(batch))
        return real(model, batch, micro_batch_tokens)

    real = probe.accumulate_gradients
    monkeypatch.setattr(probe, "accumulate_gradients", counting)
    tried = Probe(open_tuning(), SPEC)
    work = plan_workload(TRAIN, VALIDATION, SPEC, [], 4096)
    tried.measure_pace(work)
    cold = len(computed)
    tried.measure_pace(work)
    assert len(computed) == 2 * cold - 1


def test_it_reads_as_one_line() -> None:
    estimate = TrainingEstimate(116_096, 170.4, 241.0, 2_104_000_000, 0.00473, 0.0067, "GBP")
    assert estimate.describe() == (
        "116,096 tokens to compute, 3 min to 4 min, at most 2.10 GB of memory, 0.0047 to 0.0067 GBP"
    )
    spelled = [describe_seconds(seconds) for seconds in (3.21, 42.4, 119, 130, 9000)]
    assert spelled == ["3.2 s", "42 s", "119 s", "2 min", "2.5 h"]
