"""What a run leaves out to end within the minutes it was given: measured and said before anything is tested.

First the rivals go that others make up for, and the longest prompts of the others, then passes over the
training examples, then training examples; never the last prompt or one of the test examples. How much is
trained is planned again once the prompted rivals are tested, when it is known what is left. Remote rivals are
neither measured nor left out: what was agreed to is asked, and takes its time on top.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tunewise.approaches.base import Approach
from tunewise.approaches.names import FROM_SCRATCH, TRAINED
from tunewise.approaches.rivals import NUMBERS_OF_PASSAGES, NUMBERS_OF_SHOTS, PromptSetup, build
from tunewise.approaches.shown import Shown
from tunewise.arms import Arm, measure_arm
from tunewise.data.split import Split
from tunewise.engines.base import Engine
from tunewise.evaluate.consistency import MAX_CALLS
from tunewise.evaluate.runner import Decoding, run_approach
from tunewise.evaluate.selection import plan_rounds
from tunewise.models.base import BaseModel
from tunewise.progress import Progress, SilentProgress, describe_seconds
from tunewise.records import Example
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.train.estimate import TrainingPace
from tunewise.train.fine_tune import RECORDED_ROWS

STEADINESS = "steadiness"
LONGEST_PROMPTS = f"trying {NUMBERS_OF_SHOTS[-1]} shots or {NUMBERS_OF_PASSAGES[-1]} passages"
DROPPED_FIRST = (STEADINESS, FROM_SCRATCH, "zero-shot", "few-shot", LONGEST_PROMPTS)
"""How steady answers are, which decides nothing; a control; a rival that an instruction nearly always beats;
one that the nearest shots nearly always beat; prompts that take as long as all others together, and are
little better than those half as long. What is left is prompting nearly at its best, with any documents."""
STAND_INS = {
    "zero-shot": {"instructed", "few-shot", "few-shot-nearest"},
    "few-shot": {"few-shot-nearest"},
}
"""Who nearly always beats a rival that may be dropped: it goes only where one of these stays."""
PLANNED_SHARE = 0.9
"""Of the time given: machines are not equally fast all the time, and certificates and reports come on top."""
REHEARSED = 6
"""Validation examples that each rival is tried on for its time, and enough to keep an engine busy."""
TRIED_TOKENS = 2000
"""Of training rows, for their time."""
FEWEST_EXAMPLES = 50
"""Nobody learns much from training on fewer: then the run takes longer than was asked for."""
MOST_VALIDATED = RECORDED_ROWS
"""Validation rows of a training that is cut short: those that its certificate is made on."""


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
    validation: int
    """Rows of it."""
    training: TrainingPace
    test_seconds: float
    steadiness_seconds: float = 0.0
    """Of asking it again on validation; 0 for a control, which is not."""

    def time(self, epochs: int, examples: int) -> ArmTime:
        """Of so many passes over so many of the examples."""
        is_whole = (epochs, examples) == (self.epochs, self.examples)
        training = self.training if is_whole else self._short_training
        return ArmTime(epochs, examples, training.seconds(epochs * examples) + self.test_seconds)

    def within(self, seconds: float) -> ArmTime:
        """The most training that fits; at least one pass over a few."""
        for epochs in range(self.epochs, 0, -1):
            if (whole := self.time(epochs, self.examples)).seconds <= seconds:
                return whole
        affordable = self._short_training.examples_within(seconds - self.test_seconds)
        return self.time(1, min(self.examples, max(affordable, FEWEST_EXAMPLES)))

    @property
    def _short_training(self) -> TrainingPace:
        share = min(MOST_VALIDATED / max(self.validation, 1), 1.0)
        return replace(self.training, validations=share * self.training.validations)


@dataclass(frozen=True, slots=True)
class TimePlan:
    """What becomes of a run that has only so much time."""

    dropped: tuple[str, ...] = ()
    """Rivals that are left out, `STEADINESS` and `LONGEST_PROMPTS`."""
    arms: dict[str, ArmTime] = field(default_factory=dict)
    """By approach, where there is less of them than was asked for."""
    seconds: float = 0.0
    """That what is left is likely to take."""
    seconds_left: float | None = None
    """Of the time given, when this was planned; None where it is not limited."""
    rivals: dict[str, float] = field(default_factory=dict)
    """Seconds that each prompted rival that is left is likely to take."""
    paces: dict[str, ArmPace] = field(default_factory=dict)
    """Of the models that are trained."""

    def drop_from(self, spec: RunSpec) -> RunSpec:
        """The spec without the rivals for which there is no time."""
        kept = tuple(name for name in spec.approaches if name not in self.dropped)
        return spec.model_copy(update={"approaches": kept})

    def drop_longest(self, setups: Sequence[PromptSetup]) -> list[PromptSetup]:
        """The setups without the longest prompts, if there is no time for them."""
        return [setup for setup in setups if LONGEST_PROMPTS not in self.dropped or not setup.is_longest]

    def shorten(self, arm: Arm) -> Arm:
        """The arm as there is time for it: fewer passes, or some of the examples, as different as may be."""
        planned = self.arms.get(arm.name)
        if planned is None:
            return arm
        kept = _draw(arm.train, planned.examples, arm.spec.seed)
        spec = arm.spec.model_copy(update={"epochs": planned.epochs})
        validation = arm.validation[:MOST_VALIDATED]
        return replace(arm, spec=spec, train=kept, validation=validation)

    def fit_training_into(self, seconds: float) -> TimePlan:
        """The same with as much training as `seconds` have room for, now that the rivals are tested."""
        asked_again = STEADINESS not in self.dropped
        steadiness = sum(pace.steadiness_seconds for pace in self.paces.values()) if asked_again else 0.0
        again = fit_into(seconds, {STEADINESS: steadiness}, self.paces, droppable=(STEADINESS,))
        dropped = tuple(dict.fromkeys((*self.dropped, *again.dropped)))
        return replace(again, dropped=dropped, rivals=self.rivals)

    def describe(self, minutes: float) -> str:
        """What goes, in one line."""
        what = "; ".join(self.say_what_is_left_out()) or "nothing has to be left out"
        return f"within {minutes:g} minutes: {what} ({self._describe_time()})"

    def describe_training(self, before: TimePlan) -> str:
        """What becomes of the training, in one line, and what goes that the plan before had time for."""
        gone = [f"{name} is left out" for name in self.dropped if name not in before.dropped]
        training = self._say_what_is_shortened() or ["there is time for all of the training"]
        what = "; ".join([*gone, *training])
        assert self.seconds_left is not None
        return f"{describe_seconds(max(self.seconds_left, 0))} are left: {what} ({self._describe_time()})"

    def say_what_is_left_out(self) -> list[str]:
        """One phrase for each thing."""
        return [*(f"{name} is left out" for name in self.dropped), *self._say_what_is_shortened()]

    def to_json(self) -> dict[str, Any]:
        """For the run folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        arms = {name: ArmTime(**planned) for name, planned in value["arms"].items()}
        paces = {
            name: ArmPace(**{**pace, "training": TrainingPace(**pace["training"])})
            for name, pace in value["paces"].items()
        }
        seconds, seconds_left = value["seconds"], value["seconds_left"]
        return cls(tuple(value["dropped"]), arms, seconds, seconds_left, value["rivals"], paces)

    def _say_what_is_shortened(self) -> list[str]:
        said = []
        for name, planned in self.arms.items():
            asked = self.paces[name]
            passes = _times(planned.epochs)
            if planned.epochs < asked.epochs:
                passes += f", not {_times(asked.epochs)},"
            share = "all" if planned.examples == asked.examples else f"{planned.examples} of"
            said.append(f"{name} goes {passes} over {share} {asked.examples} training examples")
        return said

    def _describe_time(self) -> str:
        assert self.seconds_left is not None
        late = "" if self.seconds <= self.seconds_left else ", so it will take longer than that"
        return f"about {describe_seconds(self.seconds)} are to come{late}"


def fit_into(
    seconds: float,
    rivals: Mapping[str, float],
    arms: Mapping[str, ArmPace],
    droppable: Sequence[str] = DROPPED_FIRST,
) -> TimePlan:
    """Leave out what does not fit into `seconds`; `rivals` and `arms` are what each takes, by approach.

    Arms share what the rivals leave: what a short one does not need, the longer ones get, and none gets more
    than leaves the others a few examples each.
    """
    rivals, arms = dict(rivals), dict(arms)
    dropped: list[str] = []

    def needed() -> float:
        whole = (pace.time(pace.epochs, pace.examples).seconds for pace in arms.values())
        return sum(rivals.values()) + sum(whole)

    for name in droppable:
        is_made_up_for = name not in STAND_INS or not STAND_INS[name].isdisjoint(rivals)
        if needed() > seconds and is_made_up_for and (name in rivals or name in arms):
            dropped.append(name)
            rivals.pop(name, None)
            arms.pop(name, None)
    left = seconds - sum(rivals.values())
    shortened: dict[str, ArmTime] = {}
    total = sum(rivals.values())
    by_length = sorted(arms, key=lambda name: arms[name].time(arms[name].epochs, arms[name].examples).seconds)
    for number, name in enumerate(by_length):
        pace, others = arms[name], by_length[number + 1 :]
        least_of_others = sum(arms[other].within(0.0).seconds for other in others)
        planned = pace.within(min(left / (1 + len(others)), left - least_of_others))
        if (planned.epochs, planned.examples) != (pace.epochs, pace.examples):
            shortened[name] = planned
        left -= planned.seconds
        total += planned.seconds
    # In the order in which they will be trained.
    shortened = {name: shortened[name] for name in arms if name in shortened}
    return TimePlan(tuple(dropped), shortened, total, seconds, rivals, arms)


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
    names = list(dict.fromkeys(setup.rival for setup in setups))
    with progress.task("trying how long things take", len(names) + len(arms)) as task:
        per_call: dict[str, float] = {}
        rivals: dict[str, float] = {}
        for name in names:
            own = [setup for setup in setups if setup.rival == name]
            num_calls = choosing_calls * len(own) / len(setups) + num_test
            # They are listed from the shortest, and those before the longest are about of middle length.
            usual = next((setup for setup in reversed(own) if not setup.is_longest), own[-1])
            per_call[name] = _seconds_per_call(build(usual, shown), split, engine, decoding)
            rivals[name] = per_call[name] * num_calls
            longest = next((setup for setup in own if setup.is_longest), None)
            if longest and STAND_INS.get(name, set()).isdisjoint(names):
                longer = _seconds_per_call(build(longest, shown), split, engine, decoding) - per_call[name]
                rivals[LONGEST_PROMPTS] = rivals.get(LONGEST_PROMPTS, 0.0) + max(longer, 0.0) * num_calls
            task.advance(1, name)
        if per_call:
            rivals[STEADINESS] = max(per_call.values()) * MAX_CALLS
        paces: dict[str, ArmPace] = {}
        for arm in arms:
            # Not trained yet, it would talk on: what it was trained on ends where the answers of the data do.
            seconds_per_call = _seconds_per_call(
                arm.ask(shown.model),
                split,
                engine,
                replace(decoding, max_tokens=_usual_answer(split, engine)),
            )
            engine.rest()
            training = measure_arm(arm, TRIED_TOKENS, base, instruction, settings)
            epochs = arm.spec.resolve(len(arm.train)).epochs
            sizes = len(arm.train), epochs, len(arm.validation)
            steadiness = seconds_per_call * MAX_CALLS if arm.name in TRAINED else 0.0
            paces[arm.name] = ArmPace(*sizes, training, seconds_per_call * num_test, steadiness)
            rivals[STEADINESS] = rivals.get(STEADINESS, 0.0) + steadiness
            task.advance(1, arm.name)
    return fit_into(seconds - (time.monotonic() - started), rivals, paces)


def _draw(examples: Sequence[Example], number: int, seed: int) -> list[Example]:
    """So many of them, in their order: first one of each group, as those of one group teach much the same."""
    in_random_order = random.Random(seed).sample(range(len(examples)), len(examples))
    taken: Counter[str] = Counter()
    ranks: dict[int, int] = {}
    for i in in_random_order:
        ranks[i] = taken[examples[i].group]
        taken[examples[i].group] += 1
    return [examples[i] for i in sorted(sorted(ranks, key=ranks.__getitem__)[:number])]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _usual_answer(split: Split, engine: Engine) -> int:
    """Mean number of tokens of the first validation answers, rounded up."""
    answers = [example.answer for example in split.validation[:REHEARSED]]
    tokens = (engine.count_answer_tokens(engine.base_id, answer) for answer in answers)
    return max(math.ceil(sum(tokens) / max(len(answers), 1)), 1)


def _seconds_per_call(approach: Approach, split: Split, engine: Engine, decoding: Decoding) -> float:
    examples = split.validation[:REHEARSED]
    run = run_approach(approach, examples, engine, decoding, SilentProgress())
    return run.seconds / max(len(examples), 1)
