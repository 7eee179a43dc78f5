"""How long things take here, tried on a few examples: what a plan of the time is made from."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tunewise.approaches.base import Approach
from tunewise.approaches.names import CONTROLS, TRAINED
from tunewise.approaches.rivals import PromptSetup, build
from tunewise.approaches.shown import Shown
from tunewise.arms import Arm, measure_arm
from tunewise.data.split import Split
from tunewise.engines.base import Engine
from tunewise.evaluate.consistency import MAX_CALLS
from tunewise.evaluate.runner import Decoding, run_approach
from tunewise.evaluate.selection import plan_rounds
from tunewise.models.base import BaseModel
from tunewise.progress import Progress, SilentProgress
from tunewise.settings import Settings
from tunewise.time_plan import (
    LONGEST_PROMPTS,
    MANY_SHOTS,
    STAND_INS,
    STEADINESS,
    ArmPace,
    TimePlan,
    fit_into,
    seconds_needed,
    show_fewest,
)

REHEARSED = 6
"""Validation examples that each rival is tried on for its time, and enough to keep an engine busy."""
TRIED_TOKENS = 2000
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
    num_calls = _count_calls(setups, split)
    stay = [name for name in num_calls if STAND_INS.get(name, set()).isdisjoint(num_calls)]
    own = {name: [setup for setup in setups if setup.rival == name] for name in num_calls}
    # They are listed from the shortest, and those before the longest are about of middle length.
    usual = {name: next((s for s in reversed(own[name]) if not s.is_longest), own[name][-1]) for name in own}
    per_call: dict[str, float] = {}
    extra: dict[str, float] = {}
    paces: dict[str, ArmPace] = {}

    def per_call_of(setup: PromptSetup) -> float:
        return _seconds_per_call(build(setup, shown), split, engine, decoding)

    def seconds_of(names: Iterable[str]) -> dict[str, float]:
        return {name: per_call[name] * num_calls[name] for name in names}

    with progress.task("trying how long things take", len(stay) + len(arms)) as task:
        for name in stay:
            per_call[name] = per_call_of(usual[name])
            task.advance(1, name)
        for arm in arms:
            paces[arm.name] = _try_arm(arm, shown, split, base, instruction, engine, decoding, settings)
            task.advance(1, arm.name)
        asked_again = max(per_call.values(), default=0.0) * MAX_CALLS
        extra[STEADINESS] = asked_again + sum(pace.steadiness_seconds for pace in paces.values())
        last = {name: pace for name, pace in paces.items() if name not in CONTROLS}
        longest = {name: setup for name in stay for setup in own[name] if setup.is_longest}
        if seconds_needed(seconds_of(stay), last) <= ends - time.monotonic():
            per_call |= {name: per_call_of(usual[name]) for name in own if name not in stay}
            for name, setup in longest.items():
                longer = max(per_call_of(setup) - per_call[name], 0.0)
                extra[LONGEST_PROMPTS] = extra.get(LONGEST_PROMPTS, 0.0) + longer * num_calls[name]
        else:
            # All of them will go, so that what they take is no matter.
            per_call |= {name: 0.0 for name in own if name not in stay}
            extra |= {LONGEST_PROMPTS: 0.0} if longest else {}
            if seconds_needed(seconds_of(stay), last, epochs=1) > ends - time.monotonic():
                for name in stay:
                    (fewest,) = show_fewest([usual[name]])
                    if fewest != usual[name]:
                        before, per_call[name] = per_call[name], per_call_of(fewest)
                        saved = max(before - per_call[name], 0.0)
                        extra[MANY_SHOTS] = extra.get(MANY_SHOTS, 0.0) + saved * num_calls[name]
    plan = fit_into(ends - time.monotonic(), seconds_of(per_call) | extra, paces)
    return replace(plan, tests={name: per_call[name] * len(split.test) for name in stay})


def _count_calls(setups: Sequence[PromptSetup], split: Split) -> dict[str, float]:
    """By rival: its share of the calls that choosing prompts takes, and one for each test example."""
    rounds = plan_rounds(len(setups), len(split.validation))
    choosing = sum(num_setups * num_examples for num_setups, num_examples in rounds)
    shares = Counter(setup.rival for setup in setups)
    return {name: choosing * own / len(setups) + len(split.test) for name, own in shares.items()}


def _try_arm(
    arm: Arm,
    shown: Shown,
    split: Split,
    base: BaseModel,
    instruction: str | None,
    engine: Engine,
    decoding: Decoding,
    settings: Settings,
) -> ArmPace:
    # Not trained yet, it would talk on: what it was trained on ends where the answers of the data do.
    brief = replace(decoding, max_tokens=_usual_answer(split, engine))
    seconds_per_call = _seconds_per_call(arm.ask(shown.model), split, engine, brief)
    engine.rest()
    training = measure_arm(arm, TRIED_TOKENS, base, instruction, settings)
    return ArmPace(
        len(arm.train),
        arm.spec.resolve(len(arm.train)).epochs,
        len(arm.validation),
        training,
        seconds_per_call * len(split.test),
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
