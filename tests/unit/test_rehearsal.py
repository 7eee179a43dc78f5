"""A plan of the time is made from prompts that are tried from the shortest up, as far as there is time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tunewise import rehearsal
from tunewise.approaches.base import Approach
from tunewise.approaches.prompted import fine_tuned
from tunewise.approaches.rivals import list_setups
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import Wording
from tunewise.arms import Arm
from tunewise.data.split import split_examples
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import Decoding
from tunewise.progress import SilentProgress
from tunewise.records import Example, Message
from tunewise.retrieval.retriever import retrieve_examples
from tunewise.settings import get_settings
from tunewise.time_plan import LONGER_PROMPTS, LONGEST_PROMPTS, STEADINESS, TimePlan
from tunewise.train.estimate import TrainingPace
from tunewise.train.spec import TrainSpec

EXAMPLES = [
    Example(str(n), (Message("user", f"what is after {n}?"), Message("assistant", str(n + 1))), n, str(n))
    for n in range(200)
]
SPLIT = split_examples(EXAMPLES, 0, path=Path("examples.jsonl"))
SPEC = TrainSpec(epochs=3, batch_size=8)
RIVALS = ("zero-shot", "instructed", "few-shot", "few-shot-nearest")
STAYING = ("instructed", "few-shot-nearest")


class Engine:
    """Counts the tokens of answers and remembers when it rested."""

    base_id = "toy"

    def __init__(self, happened: list[str]) -> None:
        self.happened = happened

    def count_answer_tokens(self, model: str, answer: str) -> int:
        return len(answer)

    def rest(self) -> None:
        self.happened.append("rest")


Plan = Callable[..., TimePlan]


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, happened: list[str], tmp_path: Path) -> Plan:
    """Of a machine on which a call takes a second, and each shot another."""

    def seconds_per_call(approach: Any, *_: object) -> float:
        happened.append(f"{approach.name} {approach.num_shots}")
        return 1.0 + approach.num_shots

    def ask(approach: Approach, examples: Sequence[Example], *_: object) -> None:
        assert len(examples) == 1
        happened.append("wake")

    def measure(arms: Sequence[Arm], *_: object) -> dict[str, TrainingPace]:
        happened.append("train")
        return {arm.name: TrainingPace(per_example=0.5, validations=10.0, start=5.0) for arm in arms}

    monkeypatch.setattr(rehearsal, "_seconds_per_call", seconds_per_call)
    monkeypatch.setattr(rehearsal, "run_approach", ask)
    monkeypatch.setattr(rehearsal, "measure_arms", measure)
    near = retrieve_examples(SPLIT.train, 0, None, tmp_path)
    shown = Shown("toy", SPLIT.train, 0, lambda *_: True, near)
    trained = [Arm("fine-tuned", SPEC, SPLIT.train, SPLIT.validation, tmp_path, fine_tuned)]
    setups = list_setups(RIVALS, [Wording("I.")])

    def plan_time(seconds: float, arms: Sequence[Arm] = trained) -> TimePlan:
        engine: Any = Engine(happened)
        decoding = Decoding(choose_scoring(EXAMPLES), 9)
        base: Any = None
        return rehearsal.plan_time(
            seconds, setups, arms, shown, SPLIT, base, None, engine, decoding, get_settings(),
            SilentProgress(),
        )  # fmt: skip

    return plan_time


def seconds_of(roomy: TimePlan, epochs: int) -> float:
    """That the rivals which nobody makes up for take in their usual prompts, and so many passes."""
    arm = roomy.paces["fine-tuned"]
    return sum(roomy.rivals[name] for name in STAYING) + arm.time(epochs, arm.examples).seconds


def test_with_time_for_all_everything_is_tried(plan: Plan, happened: list[str]) -> None:
    roomy = plan(1e6)
    assert roomy.dropped == ()
    assert set(roomy.rivals) == {*RIVALS, STEADINESS, LONGEST_PROMPTS}
    tried = [what for what in happened if what.startswith("few-shot-nearest")]
    assert tried == ["few-shot-nearest 2", "few-shot-nearest 4", "few-shot-nearest 8"]
    assert {"zero-shot 0", "few-shot 4"} <= set(happened)


def test_what_goes_anyhow_is_not_tried(plan: Plan, happened: list[str]) -> None:
    needed = seconds_of(plan(1e6), epochs=3)
    happened.clear()
    tight = plan(needed - 5)
    assert tight.dropped == (STEADINESS, "zero-shot", "few-shot", LONGEST_PROMPTS)
    assert tight.arms["fine-tuned"].epochs == 2
    assert {"few-shot-nearest 4", "instructed 0"} <= set(happened)
    assert not {"few-shot-nearest 8", "zero-shot 0", "few-shot 4"} & set(happened)


def test_where_the_usual_prompts_leave_no_pass_the_shortest_are_planned_with(plan: Plan) -> None:
    roomy = plan(1e6)
    once, tight = plan(seconds_of(roomy, epochs=1) + 5), plan(seconds_of(roomy, epochs=1) - 5)
    assert LONGER_PROMPTS not in once.dropped
    assert once.tests["few-shot-nearest"] == roomy.tests["few-shot-nearest"]
    assert tight.dropped[-1] == LONGER_PROMPTS
    # Three seconds for each call in place of five.
    for planned, before in ((tight.rivals, roomy.rivals), (tight.tests, roomy.tests)):
        assert planned["few-shot-nearest"] == pytest.approx(before["few-shot-nearest"] * 3 / 5)
        assert planned["instructed"] == before["instructed"]


def test_where_the_shortest_prompts_leave_no_pass_longer_ones_are_not_tried(
    plan: Plan, happened: list[str]
) -> None:
    tight = plan(1)
    assert tight.dropped == (STEADINESS, "zero-shot", "few-shot", LONGEST_PROMPTS, LONGER_PROMPTS)
    assert happened == [
        "wake", "instructed 0", "few-shot-nearest 2", "fine-tuned 0", "rest", "train",
    ]  # fmt: skip


def test_no_prompt_is_timed_on_an_engine_that_has_to_wake_up(plan: Plan, happened: list[str]) -> None:
    plan(1e6)
    assert happened[0] == "wake"
    assert happened[happened.index("rest") :][:3] == ["rest", "train", "wake"]


def test_an_engine_does_not_rest_where_nothing_is_trained(plan: Plan, happened: list[str]) -> None:
    assert plan(1e6, arms=[]).dropped == ()
    assert "rest" not in happened
