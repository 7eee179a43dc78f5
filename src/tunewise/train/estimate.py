"""What a training will take, said before its first step, again after a few, and held against what it took."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch

from tunewise.chat.template import TokenizedExample
from tunewise.models.base import BaseModel
from tunewise.progress import Progress, describe_seconds
from tunewise.records import Example
from tunewise.settings import Settings
from tunewise.train.probe import Pace, Probe, peak_memory
from tunewise.train.rows import encode_rows, training_template
from tunewise.train.spec import ResolvedSpec, TrainSpec
from tunewise.train.tuning import Tuning, open_tuning
from tunewise.train.watch import StepMetrics
from tunewise.train.workload import Workload, plan_workload, sum_tokens

FIRST_RANGE = (0.75, 1.4)
"""Of the seconds that the probe makes likely, beside how unevenly it went."""
REFINED_RANGE = (0.85, 1.2)
"""Of the seconds that the first steps make likely for the rest. Both ranges are measured by
`benchmarks/estimates.py`."""
MEMORY_MARGIN = 1.05
"""For what the allocator of the system cannot give back as it came."""
REFINED_AFTER = 0.05
"""Share of the steps, at least `MIN_REFINING_STEPS`."""
MIN_REFINING_STEPS = 3


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """What a training, or the rest of one that was interrupted, will take."""

    tokens: int
    """Computed in steps and validations, if it does not stop early."""
    seconds_low: float
    """Of the loop: without loading the base, and without the probe."""
    seconds_high: float
    peak_memory_bytes: int
    """The most that this process will have had: on a GPU there, or else in all."""
    cost_low: float
    cost_high: float
    currency: str

    def describe(self) -> str:
        """In one line."""
        return (
            f"{self.tokens:,} tokens to compute, {self.describe_time()}, at most "
            f"{_gigabytes(self.peak_memory_bytes)} of memory, {self.cost_low:.2g} to {self.cost_high:.2g} "
            f"{self.currency}"
        )

    def contains(self, seconds: float) -> bool:
        """Whether `seconds` are within the range."""
        return self.seconds_low <= seconds <= self.seconds_high

    def describe_time(self) -> str:
        """The range of seconds."""
        return f"{describe_seconds(self.seconds_low)} to {describe_seconds(self.seconds_high)}"


@dataclass(frozen=True, slots=True)
class ScoredEstimate:
    """What was said of a training, and what came true."""

    first: TrainingEstimate
    refined: TrainingEstimate | None
    """Of the same steps as the first; None where there were too few of them."""
    seconds: float
    peak_memory_bytes: int
    seconds_within: bool
    """Of the first estimate."""
    refined_within: bool | None
    memory_within: bool

    def describe(self) -> str:
        """In one line."""
        took, peak = describe_seconds(self.seconds), _gigabytes(self.peak_memory_bytes)
        return (
            f"it took {took}, {_within(self.seconds_within)} the estimate of {self.first.describe_time()}, "
            f"and {peak} of memory, {_within(self.memory_within)} the estimate of "
            f"{_gigabytes(self.first.peak_memory_bytes)}"
        )


@dataclass(frozen=True, slots=True)
class TrainingPace:
    """What a training takes by its example passes, before it is known how many there will be."""

    per_example: float
    """Seconds of one example in one pass."""
    validations: float
    """Seconds of all of them together."""
    start: float
    """Seconds before the first step: the base is loaded, and its pace tried."""

    def seconds(self, example_passes: int) -> float:
        """Of so many."""
        return self.start + self.per_example * example_passes + self.validations

    def examples_within(self, seconds: float) -> int:
        """That fit; 0 where there is not even time for what they take together."""
        return max(int((seconds - self.seconds(0)) / self.per_example), 0)


def measure_trainings(
    base: BaseModel,
    examples: Sequence[tuple[Sequence[Example], Sequence[Example]]],
    tokens_tried: int,
    spec: TrainSpec,
    instruction: str | None,
    settings: Settings,
) -> list[TrainingPace]:
    """What each training takes, by its examples for training and for validation; `spec` is that of them all.

    Rows of so many tokens of each are tried as `fine_tune` computes them; on an accelerator, which few do not
    fill, as many as it computes at once. What all rows hold is counted.
    """
    started = time.perf_counter()
    # Of one pass: what depends on the number of examples, as the number of passes may, is not asked for here.
    resolved = spec.model_copy(update={"epochs": 1, "unusable_rows": "drop"}).resolve(len(examples[0][0]))
    loaded, tuning = open_tuning(base, resolved, settings)
    template = training_template(loaded.tokenizer)
    uninstructed = resolved.model_copy(update={"instruction_share": 0.0})
    loading = time.perf_counter() - started
    probe = Probe(tuning, resolved)
    enough = tokens_tried if loaded.device.type == "cpu" else resolved.micro_batch_tokens

    def plan(train: Sequence[TokenizedExample], validation: Sequence[TokenizedExample]) -> Workload:
        return plan_workload(train, validation, resolved, (), resolved.micro_batch_tokens)

    def measure(train: Sequence[Example], validation: Sequence[Example]) -> TrainingPace:
        started = time.perf_counter()
        rows = encode_rows(template, train, resolved, Path(), instruction).rows
        asked = encode_rows(template, validation, uninstructed, Path()).rows
        encoding = time.perf_counter() - started
        pace = probe.measure_pace(plan(*(_first_rows(side, enough) for side in (rows, asked))))
        work = plan(rows, asked)
        updates = len(work.steps) * pace.per_update
        trained = sum(map(sum_tokens, work.steps)) * pace.per_trained_token + updates
        validated = sum_tokens(work.validation) * pace.per_validated_token * resolved.validations
        return TrainingPace(trained / len(rows), validated, loading + encoding + probe.seconds(work, pace))

    return [measure(*each) for each in examples]


def _first_rows(rows: Sequence[TokenizedExample], num_tokens: int) -> Sequence[TokenizedExample]:
    """The first rows that together have at least so many tokens."""
    ends = accumulate(len(row.ids) for row in rows)
    return rows[: sum(end < num_tokens for end in ends) + 1]


class EstimateWatch:
    """Estimates a training when it begins, and says so: a `Watch` that goes before those that show it."""

    def __init__(
        self,
        tuning: Tuning,
        train: Sequence[TokenizedExample],
        validation: Sequence[TokenizedExample],
        spec: ResolvedSpec,
        progress: Progress,
        settings: Settings,
    ) -> None:
        self.first: TrainingEstimate | None = None
        """None where no step is left."""
        self.refined: TrainingEstimate | None = None
        """None until enough steps are done, and where they would be all."""
        self._tuning, self._train, self._validation, self._spec = tuning, train, validation, spec
        self._progress, self._settings = progress, settings
        self._likely = [0.0]
        """Seconds that each number of steps, from 0, is likely to take."""
        self._earliest_end = 0
        self._steps_before, self._seconds_before = 0, 0.0
        self._steps, self._seconds = 0, 0.0

    def on_start(self, num_steps: int, done: Sequence[StepMetrics]) -> None:
        """Try what is left, estimate it and say so. Raises `TrainingError` where not one example fits."""
        self._steps_before = len(done)
        self._seconds_before = done[-1].seconds if done else 0.0
        work = self._plan(done, self._spec.micro_batch_tokens)
        if not work.earliest_end:
            return
        probe = Probe(self._tuning, self._spec)
        pace = probe.measure_pace(work)
        if probe.micro_batch_tokens < self._spec.micro_batch_tokens:
            work = self._plan(done, probe.micro_batch_tokens)
        self._likely, self._earliest_end = likely_seconds(work, pace), work.earliest_end
        memory = (self._peak_memory() + bytes_to_come(self._tuning, done)) * MEMORY_MARGIN
        times = FIRST_RANGE[0] * pace.spread[0], FIRST_RANGE[1] * pace.spread[1]
        self.first = self._estimate(work.num_tokens, int(memory), times)
        rest = f" of the {len(work.steps)} of {num_steps} steps that are left" if done else ""
        self._progress.say(f"estimate{rest}: {self.first.describe()}")

    def on_step(self, metrics: StepMetrics) -> None:
        """Learn from it; once there are enough, say what they make of the estimate."""
        self._steps = metrics.step - self._steps_before
        self._seconds = metrics.seconds - self._seconds_before
        num_steps = len(self._likely) - 1
        enough = max(math.ceil(REFINED_AFTER * num_steps), MIN_REFINING_STEPS)
        if self.first is not None and self._steps == enough < num_steps:
            memory = max(self.first.peak_memory_bytes, self._peak_memory())
            self.refined = self._estimate(self.first.tokens, memory, REFINED_RANGE)
            self._progress.say(f"estimate after {enough} steps: {self.refined.describe()}")

    def on_end(self) -> None:
        """Nothing to close; `score` is asked once training came to its end."""

    def seconds_left(self) -> float:
        """That are likely, if training does not stop early."""
        return self._seconds_until(len(self._likely) - 1)

    def score(self) -> ScoredEstimate | None:
        """What was said against what came true; None where nothing was said."""
        first, refined = self.first, self.refined
        if first is None:
            return None
        peak = self._peak_memory()
        return ScoredEstimate(
            first,
            refined,
            self._seconds,
            peak,
            seconds_within=first.contains(self._seconds),
            refined_within=refined.contains(self._seconds) if refined else None,
            memory_within=peak <= first.peak_memory_bytes,
        )

    def _plan(self, done: Sequence[StepMetrics], micro_batch_tokens: int) -> Workload:
        return plan_workload(self._train, self._validation, self._spec, done, micro_batch_tokens)

    def _estimate(self, tokens: int, memory: int, times: tuple[float, float]) -> TrainingEstimate:
        """Of what was done since training began here, and what is left."""
        low = self._seconds + self._seconds_until(self._earliest_end) * times[0]
        high = self._seconds + self.seconds_left() * times[1]
        settings = self._settings
        costs = settings.cost(low), settings.cost(high)
        return TrainingEstimate(tokens, low, high, memory, *costs, settings.currency)

    def _seconds_until(self, step: int) -> float:
        """As the probe and the steps so far make likely."""
        likely_so_far = self._likely[self._steps]
        correction = self._seconds / likely_so_far if self._steps else 1.0
        return max(self._likely[step] - likely_so_far, 0.0) * correction

    def _peak_memory(self) -> int:
        return peak_memory(torch.device(self._tuning.model.device))


def likely_seconds(work: Workload, pace: Pace) -> list[float]:
    """That each number of the steps, from 0, takes at this pace, with its validations."""
    validation = sum_tokens(work.validation) * pace.per_validated_token
    steps = (
        sum_tokens(step) * pace.per_trained_token + pace.per_update + validated * validation
        for step, validated in zip(work.steps, work.validates, strict=True)
    )
    return list(accumulate(steps, initial=0.0))


def bytes_to_come(tuning: Tuning, done: Sequence[StepMetrics]) -> int:
    """What the loop will keep and does not keep yet: the optimiser's two moments, and the best weights."""
    weights = sum(weight.numel() * weight.element_size() for weight in tuning.weights.values())
    validated = any(metrics.validation_loss is not None for metrics in done)
    return weights * ((0 if done else 2) + (0 if validated else 1))


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.2f} GB"


def _within(truly: bool) -> str:
    return "within" if truly else "outside"
