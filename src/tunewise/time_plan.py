"""What a run leaves out to end within the minutes it was given: measured and said before anything is tested.

First the rivals go that others make up for, then passes over the training examples, then training examples;
never one of the test examples. Remote rivals are neither measured nor left out: what was agreed to is asked,
and takes its time on top.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tunewise.approaches.base import Approach
from tunewise.approaches.names import FINE_TUNED_RAG, FROM_SCRATCH, RAG
from tunewise.approaches.prompted import Prompted
from tunewise.approaches.rivals import PromptSetup, build
from tunewise.approaches.shown import Shown
from tunewise.arms import Arm, measure_arm
from tunewise.data.split import Split
from tunewise.engines.base import Engine
from tunewise.evaluate.consistency import MAX_CALLS
from tunewise.evaluate.runner import Decoding, run_approach
from tunewise.evaluate.selection import plan_rounds
from tunewise.models.base import BaseModel
from tunewise.progress import Progress, SilentProgress, describe_seconds
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.train.estimate import TrainingPace

STEADINESS = "steadiness"
DROPPED_FIRST = (STEADINESS, FROM_SCRATCH, "zero-shot", "few-shot")
"""How steady answers are, which decides nothing; a control; a rival that an instruction nearly always beats;
one that the nearest shots nearly always beat. What is left is prompting at its best, and documents where
there are any."""
PLANNED_SHARE = 0.85
"""Of the time given: machines are not equally fast all the time, and certificates and reports come on top."""
REHEARSED = 8
"""Validation examples that each rival is tried on for its time, and enough to keep an engine busy."""
SAMPLED_ROWS = 64
"""Training examples that are tried for their time."""
FEWEST_EXAMPLES = 50
"""Nobody learns much from training on fewer: then the run takes longer than was asked for."""


@dataclass(frozen=True, slots=True)
class ArmTime:
    """How long to train one model."""

    epochs: int
    examples: int
    seconds: float
    """It is likely to take, with its test."""


@dataclass(frozen=True, slots=True)
class ArmPace:
    """What one model takes."""

    examples: int
    epochs: int
    """Asked for."""
    training: TrainingPace
    test_seconds: float

    def time(self, epochs: int, examples: int) -> ArmTime:
        """Of so many passes over so many of the examples."""
        seconds = self.training.seconds(epochs * examples) + self.test_seconds
        return ArmTime(epochs, examples, seconds)

    def within(self, seconds: float) -> ArmTime:
        """The most training that fits; at least one pass over a few."""
        for epochs in range(self.epochs, 0, -1):
            if (whole := self.time(epochs, self.examples)).seconds <= seconds:
                return whole
        affordable = self.training.examples_within(seconds - self.test_seconds)
        return self.time(1, min(self.examples, max(affordable, FEWEST_EXAMPLES)))


@dataclass(frozen=True, slots=True)
class TimePlan:
    """What becomes of a run that has only so much time."""

    dropped: tuple[str, ...] = ()
    """Rivals that are left out, and `STEADINESS`."""
    arms: dict[str, ArmTime] = field(default_factory=dict)
    """By approach, where there is less of them than was asked for."""
    seconds: float = 0.0
    """That what is left is likely to take."""
    seconds_left: float | None = None
    """Of the time given; None where it is not limited."""

    def drop_from(self, spec: RunSpec) -> RunSpec:
        """The spec without the rivals for which there is no time."""
        kept = tuple(name for name in spec.approaches if name not in self.dropped)
        return spec.model_copy(update={"approaches": kept})

    def shorten(self, arm: Arm) -> Arm:
        """The arm as there is time for it: fewer passes, or some of the examples, drawn with its seed."""
        planned = self.arms.get(arm.name)
        if planned is None:
            return arm
        kept = sorted(random.Random(arm.spec.seed).sample(range(len(arm.train)), planned.examples))
        spec = arm.spec.model_copy(update={"epochs": planned.epochs})
        return replace(arm, spec=spec, train=[arm.train[i] for i in kept])

    def describe(self, minutes: float) -> str:
        """What goes, in one line."""
        takes = f"about {describe_seconds(self.seconds)} are to come"
        what = "; ".join(self.say_what_is_left_out()) or "nothing has to be left out"
        assert self.seconds_left is not None
        late = "" if self.seconds <= self.seconds_left else ", so it will take longer than that"
        return f"within {minutes:g} minutes: {what} ({takes}{late})"

    def say_what_is_left_out(self) -> list[str]:
        """One phrase for each thing."""
        said = [f"{name} is left out" for name in self.dropped]
        for name, planned in self.arms.items():
            passes = "once" if planned.epochs == 1 else f"{planned.epochs} times"
            said.append(f"{name} goes {passes} over {planned.examples} training examples")
        return said

    def to_json(self) -> dict[str, Any]:
        """For the run folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        arms = {name: ArmTime(**planned) for name, planned in value["arms"].items()}
        return cls(tuple(value["dropped"]), arms, value["seconds"], value["seconds_left"])


def fit_into(seconds: float, rivals: Mapping[str, float], arms: Mapping[str, ArmPace]) -> TimePlan:
    """Leave out what does not fit into `seconds`; `rivals` and `arms` are what each takes, by approach.

    Arms share what the rivals leave; what a short one does not need, the longer ones get.
    """
    rivals, arms = dict(rivals), dict(arms)
    dropped: list[str] = []

    def needed() -> float:
        whole = (pace.time(pace.epochs, pace.examples).seconds for pace in arms.values())
        return sum(rivals.values()) + sum(whole)

    for name in DROPPED_FIRST:
        if needed() > seconds and (name in rivals or name in arms):
            dropped.append(name)
            rivals.pop(name, None)
            arms.pop(name, None)
    left = seconds - sum(rivals.values())
    shortened: dict[str, ArmTime] = {}
    total = sum(rivals.values())
    by_length = sorted(arms, key=lambda name: arms[name].time(arms[name].epochs, arms[name].examples).seconds)
    for number, name in enumerate(by_length):
        pace = arms[name]
        planned = pace.within(left / (len(by_length) - number))
        if (planned.epochs, planned.examples) != (pace.epochs, pace.examples):
            shortened[name] = planned
        left -= planned.seconds
        total += planned.seconds
    # In the order in which they will be trained.
    shortened = {name: shortened[name] for name in arms if name in shortened}
    return TimePlan(tuple(dropped), shortened, total, seconds)


def plan_time(
    seconds: float,
    setups: Sequence[PromptSetup],
    arms: Sequence[Arm],
    shown: Shown,
    split: Split,
    base: BaseModel,
    instruction: str | None,
    engine: Engine,
    decoding: Decoding,
    settings: Settings,
    progress: Progress,
) -> TimePlan:
    """What fits into `seconds`, by how long some validation examples and training rows take here.

    `setups` are those of this machine: how long remote rivals take is not measured, and comes on top.
    """
    started = time.monotonic()
    num_test = len(split.test)
    rounds = plan_rounds(len(setups), len(split.validation))
    choosing_calls = sum(num_setups * num_examples for num_setups, num_examples in rounds)
    with progress.task("trying how long things take", len({s.rival for s in setups}) + len(arms)) as task:
        per_call: dict[str, float] = {}
        rivals: dict[str, float] = {}
        for name in dict.fromkeys(setup.rival for setup in setups):
            own = [setup for setup in setups if setup.rival == name]
            # They are listed from the shortest; those in the middle are among the longest, and most common.
            per_call[name] = _seconds_per_call(build(own[len(own) // 2], shown), split, engine, decoding)
            own_calls = choosing_calls * len(own) / len(setups)
            rivals[name] = per_call[name] * (own_calls + num_test)
            task.advance(1, name)
        if per_call:
            rivals[STEADINESS] = max(per_call.values()) * MAX_CALLS
        paces: dict[str, ArmPace] = {}
        for arm in arms:
            asked = RAG if arm.name == FINE_TUNED_RAG else "zero-shot"
            if asked not in per_call:
                plain = Prompted(asked, shown.model)
                per_call[asked] = _seconds_per_call(plain, split, engine, decoding)
            engine.rest()
            training = measure_arm(arm, SAMPLED_ROWS, base, instruction, settings)
            epochs = arm.spec.resolve(len(arm.train)).epochs
            paces[arm.name] = ArmPace(len(arm.train), epochs, training, per_call[asked] * num_test)
            rivals[STEADINESS] = rivals.get(STEADINESS, 0.0) + per_call[asked] * MAX_CALLS
            task.advance(1, arm.name)
    return fit_into(seconds - (time.monotonic() - started), rivals, paces)


def _seconds_per_call(approach: Approach, split: Split, engine: Engine, decoding: Decoding) -> float:
    examples = split.validation[:REHEARSED]
    run = run_approach(approach, examples, engine, decoding, SilentProgress())
    return run.seconds / max(len(examples), 1)
