"""How long things take here, tried on a few examples: what a plan of the time is made from."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tunewise.approaches.base import Approach
from tunewise.approaches.names import CONTROLS, TRAINED
from tunewise.approaches.rivals import PromptSetup, build
from tunewise.approaches.shown import Shown
from tunewise.arms import Arm, measure_arms
from tunewise.data.split import Split
from tunewise.engines.base import Engine
from tunewise.evaluate.consistency import MAX_CALLS
from tunewise.evaluate.runner import Decoding, run_approach
from tunewise.evaluate.selection import plan_rounds
from tunewise.models.base import BaseModel
from tunewise.progress import Progress, SilentProgress, Task
from tunewise.settings import Settings
from tunewise.time_plan import (
    LONGER_PROMPTS,
    LONGEST_PROMPTS,
    STAND_INS,
    STEADINESS,
    ArmPace,
    TimePlan,
    fit_into,
    seconds_needed,
    show_least,
)
from tunewise.train.estimate import TrainingPace

REHEARSED = 6
"""Validation examples that each rival is tried on for its time."""
BATCHED_SHARE = 0.6
"""Of the time that one of so few calls takes, what it takes in a test, where all are asked together: 0.2 to
0.9 were measured, mostly less than a half (`docs/log.md`)."""
TRIED_TOKENS = 1000
"""Of training rows, for their time."""


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

    What has to go anyhow is not tried. `setups` are those of this machine: how long remote rivals take is not
    measured, and comes on top.
    """
    ends = time.monotonic() + seconds
    trials = _Trials(setups, shown, split, engine, decoding)
    with progress.task("trying how long things take", trials.most_tries + 2 * len(arms)) as task:
        trials.wake_engine()
        trials.try_shortest(task)
        asked: list[float] = []
        for arm in arms:
            asked.append(_try_asking(arm, shown, split, engine, decoding))
            task.advance(1, arm.name)
        if arms:
            engine.rest()
        trained = measure_arms(arms, TRIED_TOKENS, base, instruction, settings)
        task.advance(len(arms), "training")
        paces = {
            arm.name: _expect_arm(arm, seconds_per_call, trained[arm.name], split)
            for arm, seconds_per_call in zip(arms, asked, strict=True)
        }
        trials.steadiness_of_trained = sum(pace.steadiness_seconds for pace in paces.values())
        staying = {name: pace for name, pace in paces.items() if name not in CONTROLS}

        def fits(epochs: int | None = None) -> bool:
            return seconds_needed(trials.seconds_of_staying(), staying, epochs) <= ends - time.monotonic()

        if fits(epochs=1):
            trials.wake_engine()
            trials.try_usual(task)
        if fits():
            trials.try_others(task)
        else:
            trials.give_up_others()
        if not fits(epochs=1):
            trials.give_up_usual()
    plan = fit_into(ends - time.monotonic(), trials.seconds(), paces)
    return replace(plan, tests=trials.test_seconds())


class _Trials:
    """How long the calls of each rival take here, as far as that was tried.

    The shortest prompts are tried first; then the usual ones, or nothing more; then others, or they are given
    up. Only what was tried can be given up, and what anything takes may be asked at any time.
    """

    def __init__(
        self,
        setups: Sequence[PromptSetup],
        shown: Shown,
        split: Split,
        engine: Engine,
        decoding: Decoding,
    ) -> None:
        self._shown, self._split, self._engine, self._decoding = shown, split, engine, decoding
        self._num_calls = _count_calls(setups, split)
        names = list(self._num_calls)
        own = {name: [setup for setup in setups if setup.rival == name] for name in names}
        # They are listed from the shortest, and those before the longest are about of middle length.
        self._usual = {n: next((s for s in reversed(own[n]) if not s.is_longest), own[n][-1]) for n in names}
        self._shortest = {name: show_least([self._usual[name]])[0] for name in names}
        self._staying = [name for name in names if STAND_INS.get(name, set()).isdisjoint(names)]
        """Rivals that nobody makes up for."""
        self._others = [name for name in names if name not in self._staying]
        self._shortened = [name for name in self._staying if self._usual[name] != self._shortest[name]]
        """Those of them that may show less than usual."""
        self._longest = {name: s for name in self._staying for s in own[name] if s.is_longest}
        self._per_call: dict[str, float] = {}
        self._added: dict[str, float] = {}
        """Seconds of a call that the usual prompt takes beyond the shortest."""
        self._extra: dict[str, float] = {}
        """Seconds of what is no rival of its own."""
        self.steadiness_of_trained = 0.0
        """Seconds of asking the trained models again."""

    @property
    def most_tries(self) -> int:
        """How many prompts are tried if there is time for all."""
        return sum(map(len, (self._staying, self._shortened, self._others, self._longest)))

    def wake_engine(self) -> None:
        """Ask once without looking at the clock: the first call after a rest may take a minute."""
        for name in self._staying[:1]:
            approach = build(self._shortest[name], self._shown)
            run_approach(approach, self._split.validation[:1], self._engine, self._decoding, SilentProgress())

    def try_shortest(self, task: Task) -> None:
        """The prompts that show least, of the rivals that stay."""
        for name in self._staying:
            self._per_call[name] = self._try(self._shortest[name], task)

    def try_usual(self, task: Task) -> None:
        """Prompts of middle length of the same."""
        for name in self._shortened:
            self._added[name] = max(self._try(self._usual[name], task) - self._per_call[name], 0.0)
            self._per_call[name] += self._added[name]

    def give_up_usual(self) -> None:
        """Count with the shortest prompts again; what the usual ones take beyond is `LONGER_PROMPTS`.

        It is 0 where they were not tried, as it was clear that there is no time for them.
        """
        for name, seconds in self._added.items():
            self._per_call[name] -= seconds
        if self._shortened:
            added = sum(self._added[name] * self._num_calls[name] for name in self._added)
            self._extra[LONGER_PROMPTS] = added

    def try_others(self, task: Task) -> None:
        """The rivals that others make up for, and the longest prompts of those that stay."""
        for name in self._others:
            self._per_call[name] = self._try(self._usual[name], task)
        for name, setup in self._longest.items():
            longer = max(self._try(setup, task) - self._per_call[name], 0.0) * self._num_calls[name]
            self._extra[LONGEST_PROMPTS] = self._extra.get(LONGEST_PROMPTS, 0.0) + longer

    def give_up_others(self) -> None:
        """They will all be left out, so that what they take is no matter."""
        self._per_call |= dict.fromkeys(self._others, 0.0)
        self._extra |= {LONGEST_PROMPTS: 0.0} if self._longest else {}

    def seconds(self) -> dict[str, float]:
        """That each rival, and whatever else there is, is likely to take."""
        slowest = max((self._per_call[name] for name in self._staying), default=0.0)
        steadiness = slowest * MAX_CALLS + self.steadiness_of_trained
        rivals = {name: self._per_call[name] * self._num_calls[name] for name in self._per_call}
        return rivals | self._extra | {STEADINESS: steadiness}

    def seconds_of_staying(self) -> dict[str, float]:
        """The same of the rivals alone that nobody makes up for."""
        seconds = self.seconds()
        return {name: seconds[name] for name in self._staying}

    def test_seconds(self) -> dict[str, float]:
        """That the tests of those rivals are likely to take."""
        num_calls = BATCHED_SHARE * len(self._split.test)
        return {name: self._per_call[name] * num_calls for name in self._staying}

    def _try(self, setup: PromptSetup, task: Task) -> float:
        approach = build(setup, self._shown)
        seconds = _seconds_per_call(approach, self._split, self._engine, self._decoding)
        task.advance(1, setup.label)
        return seconds


def _count_calls(setups: Sequence[PromptSetup], split: Split) -> dict[str, float]:
    """By rival: its share of the calls that choosing prompts takes, and one for each test example.

    Those of the test count for less, as so many are asked together. Those that choose count whole, though
    some dozens are asked together as well: rather too much time is planned than too little.
    """
    rounds = plan_rounds(len(setups), len(split.validation))
    choosing = sum(num_setups * num_examples for num_setups, num_examples in rounds)
    shares = Counter(setup.rival for setup in setups)
    testing = BATCHED_SHARE * len(split.test)
    return {name: choosing * own / len(setups) + testing for name, own in shares.items()}


def _try_asking(arm: Arm, shown: Shown, split: Split, engine: Engine, decoding: Decoding) -> float:
    """Seconds that one call of the model takes. Not trained yet, it is kept from talking on."""
    # What it was trained on ends where the answers of the data do.
    brief = replace(decoding, max_tokens=_usual_answer(split, engine))
    return _seconds_per_call(arm.ask(shown.model), split, engine, brief)


def _expect_arm(arm: Arm, seconds_per_call: float, training: TrainingPace, split: Split) -> ArmPace:
    return ArmPace(
        len(arm.train),
        arm.spec.resolve(len(arm.train)).epochs,
        len(arm.validation),
        training,
        seconds_per_call * BATCHED_SHARE * len(split.test),
        seconds_per_call * MAX_CALLS if arm.name in TRAINED else 0.0,
    )


def _usual_answer(split: Split, engine: Engine) -> int:
    """Mean number of tokens of the first validation answers, rounded up."""
    answers = [example.answer for example in split.validation[:REHEARSED]]
    tokens = (engine.count_answer_tokens(engine.base_id, answer) for answer in answers)
    return max(math.ceil(sum(tokens) / max(len(answers), 1)), 1)


def _seconds_per_call(approach: Approach, split: Split, engine: Engine, decoding: Decoding) -> float:
    examples = split.validation[:REHEARSED]
    run = run_approach(approach, examples, engine, decoding, SilentProgress())
    return run.seconds / max(len(examples), 1)
