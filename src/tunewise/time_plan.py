"""What a run leaves out to end within the minutes it was given: measured and said before anything is tested.

First the rivals go that others make up for, and the longest prompts of the others, then passes over the
training examples; where not even one pass fits, what prompts show beyond the least, then training examples;
never the last prompt or one of the test examples. How much is trained is planned again once the prompted
rivals are tested, when it is known what is left and how fast tests go. Remote rivals are neither measured nor
left out: what was agreed to is asked, and takes its time on top.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tunewise.approaches.names import FROM_SCRATCH
from tunewise.approaches.rivals import NUMBERS_OF_PASSAGES, NUMBERS_OF_SHOTS, PromptSetup
from tunewise.arms import Arm
from tunewise.progress import describe_seconds
from tunewise.records import Example
from tunewise.run_spec import RunSpec
from tunewise.train.estimate import TrainingPace
from tunewise.train.loop import RECORDED_ROWS

STEADINESS = "steadiness"
LONGEST_PROMPTS = (
    f"trying {NUMBERS_OF_SHOTS[-1]} shots, {NUMBERS_OF_PASSAGES[-1]} passages, or both shots and passages"
)
DROPPED_FIRST = (STEADINESS, FROM_SCRATCH, "zero-shot", "few-shot", LONGEST_PROMPTS)
"""How steady answers are, which decides nothing; a control; a rival that an instruction nearly always beats;
one that the nearest shots nearly always beat; prompts that take as long as all others together, and are
little better than those half as long. What is left is prompting nearly at its best, with any documents."""
LONGER_PROMPTS = f"showing more than {NUMBERS_OF_SHOTS[0]} examples or {NUMBERS_OF_PASSAGES[0]} passage"
"""Where not even one pass of training fits otherwise: the first shots, and the passage that was found first,
bring most of what there is to bring."""
STAND_INS = {
    "zero-shot": {"instructed", "few-shot", "few-shot-nearest"},
    "few-shot": {"few-shot-nearest"},
}
"""Who nearly always beats a rival that may be dropped: it goes only where one of these stays."""
PLANNED_SHARE = 0.9
"""Of the time given: machines are not equally fast all the time, and certificates and reports come on top."""
TRAINING_PLANNED_SHARE = 0.95
"""Of it once the prompts are tested: there is less left to be wrong about."""
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
    """Rivals that are left out, `STEADINESS`, `LONGEST_PROMPTS` and `LONGER_PROMPTS`."""
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
    tests: dict[str, float] = field(default_factory=dict)
    """Seconds that testing each prompted rival is likely to take, by some examples that were tried."""

    def drop_from(self, spec: RunSpec) -> RunSpec:
        """The spec without the rivals for which there is no time."""
        kept = tuple(name for name in spec.approaches if name not in self.dropped)
        return spec.model_copy(update={"approaches": kept})

    def limit_prompts(self, setups: Sequence[PromptSetup]) -> list[PromptSetup]:
        """The setups as there is time for them: without the longest, or the shortest alone."""
        kept = [setup for setup in setups if LONGEST_PROMPTS not in self.dropped or not setup.is_longest]
        return show_least(kept) if LONGER_PROMPTS in self.dropped else kept

    def shorten(self, arm: Arm) -> Arm:
        """The arm as there is time for it: fewer passes, or some of the examples, as different as may be."""
        planned = self.arms.get(arm.name)
        if planned is None:
            return arm
        kept = _draw(arm.train, planned.examples, arm.spec.seed)
        spec = arm.spec.model_copy(update={"epochs": planned.epochs})
        validation = arm.validation[:MOST_VALIDATED]
        return replace(arm, spec=spec, train=kept, validation=validation)

    def fit_training_into(self, seconds: float, tested: Mapping[str, float]) -> TimePlan:
        """The same with as much training as `seconds` have room for, now that the rivals are tested.

        `tested` is how long that took, by rival: asked all together, examples take less than the few that
        were tried, and those of the trained models will as well.
        """
        likely = sum(seconds for name, seconds in self.tests.items() if name in tested)
        took = sum(seconds for name, seconds in tested.items() if name in self.tests)
        paces = {
            name: replace(pace, test_seconds=pace.test_seconds * (took / likely if likely else 1.0))
            for name, pace in self.paces.items()
        }
        asked_again = STEADINESS not in self.dropped
        steadiness = sum(pace.steadiness_seconds for pace in paces.values()) if asked_again else 0.0
        again = fit_into(seconds, {STEADINESS: steadiness}, paces, droppable=(STEADINESS,))
        dropped = tuple(dict.fromkeys((*self.dropped, *again.dropped)))
        return replace(again, dropped=dropped, rivals=self.rivals, tests=self.tests)

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
        return cls(**{**value, "dropped": tuple(value["dropped"]), "arms": arms, "paces": paces})

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
        late = "" if self.seconds <= self.seconds_left else ", so it may take longer than that"
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
    for name in droppable:
        is_made_up_for = name not in STAND_INS or not STAND_INS[name].isdisjoint(rivals)
        if seconds_needed(rivals, arms) > seconds and is_made_up_for and (name in rivals or name in arms):
            dropped.append(name)
            rivals.pop(name, None)
            arms.pop(name, None)
    if LONGER_PROMPTS in rivals and seconds_needed(rivals, arms, epochs=1) > seconds:
        dropped.append(LONGER_PROMPTS)
        rivals.pop(LONGER_PROMPTS)
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


def seconds_needed(
    rivals: Mapping[str, float], arms: Mapping[str, ArmPace], epochs: int | None = None
) -> float:
    """Seconds that all of these take, with so many passes over all training examples, or those asked for."""
    whole = (pace.time(epochs or pace.epochs, pace.examples).seconds for pace in arms.values())
    return sum(rivals.values()) + sum(whole)


def show_least(setups: Sequence[PromptSetup]) -> list[PromptSetup]:
    """The setups with the fewest shots and passages wherever they have any; each once."""
    shots, passages = NUMBERS_OF_SHOTS[0], NUMBERS_OF_PASSAGES[0]
    least = (
        replace(s, num_shots=min(s.num_shots, shots), num_passages=min(s.num_passages, passages))
        for s in setups
    )
    return list(dict.fromkeys(least))


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
