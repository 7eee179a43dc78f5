"""A run that is given so many minutes leaves out what matters least, says so, and tests on every example."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metric_samples import asked
from toy import save_base, write_rows
from tunewise import pipeline
from tunewise.approaches.prompted import fine_tuned
from tunewise.approaches.rivals import list_setups
from tunewise.approaches.wordings import Wording
from tunewise.arms import Arm
from tunewise.errors import RunFolderError
from tunewise.progress import SilentProgress
from tunewise.run_spec import RunSpec
from tunewise.settings import get_settings
from tunewise.store.files import read_json
from tunewise.time_plan import (
    FEWEST_EXAMPLES,
    LONGER_PROMPTS,
    LONGEST_PROMPTS,
    MOST_VALIDATED,
    STEADINESS,
    ArmPace,
    TimePlan,
    fit_into,
)
from tunewise.train.estimate import TrainingPace
from tunewise.train.spec import TrainSpec

RIVALS = {"zero-shot": 50.0, "instructed": 60.0, "few-shot": 70.0, "few-shot-nearest": 120.0}


def pace(per_example: float = 0.25, examples: int = 400, epochs: int = 4) -> ArmPace:
    return ArmPace(
        examples, epochs, 20, TrainingPace(per_example, validations=12.0, start=8.0), test_seconds=30.0
    )


def test_nothing_is_left_out_where_there_is_time() -> None:
    plan = fit_into(1000, RIVALS, {"fine-tuned": pace()})
    assert (plan.dropped, plan.arms) == ((), {})
    assert plan.seconds == 300 + 450
    assert "nothing has to be left out" in plan.describe(20)


def test_rivals_that_others_make_up_for_go_before_passes_of_training() -> None:
    assert fit_into(710, RIVALS, {"fine-tuned": pace()}).dropped == ("zero-shot",)
    plan = fit_into(500, RIVALS, {"fine-tuned": pace()})
    assert plan.dropped == ("zero-shot", "few-shot")
    assert plan.arms["fine-tuned"].epochs == 2
    assert plan.arms["fine-tuned"].examples == 400


def test_the_longest_prompts_go_before_passes_of_training() -> None:
    rivals = {"few-shot-nearest": 100.0, LONGEST_PROMPTS: 120.0}
    plan = fit_into(560, rivals, {"fine-tuned": pace()})
    assert (plan.dropped, plan.arms) == ((LONGEST_PROMPTS,), {})
    assert plan.say_what_is_left_out() == [f"{LONGEST_PROMPTS} is left out"]
    setups = list_setups(
        ["few-shot-nearest", "rag"], [Wording("Answer."), Wording("Answer shortly.", note="x")]
    )
    kept = plan.limit_prompts(setups)
    assert {(setup.num_shots, setup.num_passages) for setup in kept} == {(2, 0), (4, 0), (0, 1), (0, 2)}
    assert TimePlan().limit_prompts(setups) == setups


def test_prompts_show_the_least_only_where_not_one_pass_of_training_fits_otherwise() -> None:
    rivals = {"few-shot-nearest": 60.0, LONGEST_PROMPTS: 80.0, LONGER_PROMPTS: 60.0}
    once = 60 + pace().time(1, 400).seconds
    roomy, tight = (fit_into(once + more, rivals, {"fine-tuned": pace()}) for more in (60, 59))
    assert roomy.dropped == (LONGEST_PROMPTS,)
    assert tight.dropped == (LONGEST_PROMPTS, LONGER_PROMPTS)
    assert tight.arms["fine-tuned"].examples == 400
    assert "showing more than 2 examples or 1 passage is left out" in tight.say_what_is_left_out()
    wordings = [Wording("Answer."), Wording("Answer shortly.", note="x")]
    kept = tight.limit_prompts(list_setups(["few-shot-nearest", "rag"], wordings))
    assert {(setup.num_shots, setup.num_passages) for setup in kept} == {(2, 0), (0, 1)}
    assert len({setup.label for setup in kept}) == len(kept) == 2 + 2


def test_a_quick_test_of_the_prompts_leaves_more_time_for_training() -> None:
    """As few examples as are tried do not keep an engine as busy as a test does."""
    plan = TimePlan(paces={"fine-tuned": pace()}, tests={"instructed": 80.0, "few-shot-nearest": 120.0})
    as_tried = plan.fit_training_into(100, {"instructed": 80.0, "few-shot-nearest": 120.0})
    twice_as_fast = plan.fit_training_into(100, {"instructed": 40.0, "few-shot-nearest": 60.0, "majority": 9})
    assert as_tried == plan.fit_training_into(100, {})
    more = twice_as_fast.arms["fine-tuned"].examples - as_tried.arms["fine-tuned"].examples
    assert more == 15 / 0.25, "half of the 30 s that the tuned model's test was taken to last"


def test_examples_go_where_not_one_pass_fits() -> None:
    plan = fit_into(260, RIVALS, {"fine-tuned": pace()})
    assert (plan.arms["fine-tuned"].epochs, plan.arms["fine-tuned"].examples) == (1, 120)
    assert plan.seconds == 260


def test_a_prompt_that_no_other_stands_in_for_stays() -> None:
    assert fit_into(0, {"zero-shot": 50.0}, {}).dropped == ()
    assert fit_into(0, {"few-shot": 50.0, "instructed": 20.0}, {}).dropped == ()
    assert fit_into(0, {"zero-shot": 50.0, "few-shot": 50.0}, {}).dropped == ("zero-shot",)


def test_the_model_is_asked_again_only_where_that_cuts_no_training() -> None:
    plan = TimePlan(paces={"fine-tuned": replace(pace(), steadiness_seconds=40.0)})
    whole = pace().time(4, 400).seconds
    roomy = plan.fit_training_into(whole + 40, {})
    assert (roomy.dropped, roomy.arms) == ((), {})
    tight = plan.fit_training_into(whole + 39, {})
    assert (tight.dropped, tight.arms) == ((STEADINESS,), {})
    assert "steadiness is left out; there is time for all of" in tight.describe_training(plan)
    assert "steadiness" not in tight.describe_training(replace(plan, dropped=(STEADINESS,)))


def test_it_is_said_where_not_even_the_least_fits() -> None:
    plan = fit_into(60, RIVALS, {"fine-tuned": pace()})
    assert plan.arms["fine-tuned"].examples == FEWEST_EXAMPLES
    assert "it may take longer" in plan.describe(1)


def test_training_gets_the_time_that_the_tests_left_over() -> None:
    plan = fit_into(500, RIVALS, {"fine-tuned": pace()})
    assert plan.arms["fine-tuned"].epochs == 2
    roomy = plan.fit_training_into(450, {})
    assert (roomy.dropped, roomy.arms) == (("zero-shot", "few-shot"), {})
    assert "there is time for all of the training" in roomy.describe_training(plan)
    assert roomy.say_what_is_left_out() == ["zero-shot is left out", "few-shot is left out"]
    tight = plan.fit_training_into(100, {})
    assert (tight.arms["fine-tuned"].epochs, tight.arms["fine-tuned"].examples) == (1, 200)
    assert "goes once, not 4 times, over 200 of 400 training examples" in tight.describe_training(plan)
    assert "goes 2 times, not 4 times, over all 400 training examples" in plan.describe(10)
    once = fit_into(60, {}, {"fine-tuned": pace(epochs=1)})
    assert "fine-tuned goes once over 50 of 400 training examples" in once.describe(1)
    assert "it may take longer" in plan.fit_training_into(-5, {}).describe_training(plan)


def test_a_short_training_draws_from_as_many_groups_as_may_be(tmp_path: Path) -> None:
    rows = [replace(row, group=f"g{i // 4}") for i, row in enumerate(asked(["yes", "no"] * 40))]
    arm = Arm("fine-tuned", TrainSpec(seed=3), rows, rows, tmp_path, fine_tuned)
    plan = fit_into(0, {}, {"fine-tuned": pace(examples=80)})
    short = plan.shorten(arm)
    assert plan.arms["fine-tuned"].examples == len(short.train) == FEWEST_EXAMPLES
    per_group = Counter(row.group for row in short.train)
    assert set(per_group.values()) == {2, 3}
    assert len(per_group) == 20
    assert list(short.train) == sorted(short.train, key=lambda row: row.line)
    assert plan.shorten(arm) == short
    assert list(short.validation) == rows[:MOST_VALIDATED]
    assert TimePlan().shorten(arm) == arm


def test_a_control_goes_first_and_two_models_share_what_is_left() -> None:
    arms = {"fine-tuned": pace(0.05), "fine-tuned-rag": pace(1.0), "from-scratch": pace(0.05)}
    plan = fit_into(1000, RIVALS, arms)
    assert plan.dropped[0] == "from-scratch"
    assert plan.arms.keys() == {"fine-tuned-rag"}, "the short one needs no share of its own"
    assert plan.arms["fine-tuned-rag"].epochs == 1


def test_a_quick_model_leaves_a_slow_one_its_few_examples() -> None:
    arms = {"fine-tuned": pace(0.1), "fine-tuned-rag": pace(4.0)}
    plan = fit_into(330, {}, arms)
    assert plan.arms["fine-tuned-rag"].examples == FEWEST_EXAMPLES
    assert plan.arms["fine-tuned"].examples == 300, (
        "not the 1,150 example passes that half of the time would give"
    )
    assert plan.seconds == 330


@given(
    st.floats(0, 3000),
    st.dictionaries(st.sampled_from(sorted(RIVALS)), st.floats(0.1, 400)),
    st.dictionaries(
        st.sampled_from(["fine-tuned", "fine-tuned-rag"]),
        st.builds(pace, st.floats(0.01, 3), st.integers(10, 2000), st.integers(1, 10)),
    ),
)
def test_a_plan_fits_or_has_left_out_all_it_may(
    seconds: float, rivals: dict[str, float], arms: dict[str, ArmPace]
) -> None:
    plan = fit_into(seconds, rivals, arms)
    assert not {"instructed", "few-shot-nearest", "fine-tuned", "fine-tuned-rag"}.intersection(plan.dropped)
    if plan.seconds > seconds * (1 + 1e-9):
        droppable = {
            "zero-shot": rivals.keys() - {"zero-shot"},
            "few-shot": {"few-shot-nearest"} & rivals.keys(),
        }
        assert set(plan.dropped) == {name for name in droppable if name in rivals and droppable[name]}
        planned = [plan.arms.get(name, arms[name]) for name in arms]
        assert not arms or any(arm.epochs == 1 and arm.examples <= FEWEST_EXAMPLES for arm in planned)
    assert not rivals or set(plan.dropped) < set(rivals), "training is compared with a prompt in any case"
    assert TimePlan.from_json(plan.to_json()) == plan


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_run_without_time_says_what_it_leaves_out_before_it_tests_anything(tmp_path: Path) -> None:
    settings = replace(get_settings(), home=tmp_path / "home", organization="test", device="cpu")
    spec = RunSpec(
        data=write_rows(tmp_path / "rows.jsonl", 80),
        base=str(save_base(tmp_path / "toy")),
        approaches=("majority", "zero-shot", "few-shot-nearest", "fine-tuned"),
        training=TrainSpec(rank=4, epochs=3, batch_size=8),
        max_minutes=0.01,
    )
    progress, out = Heard(), tmp_path / "out"
    verdict = pipeline.run(spec, out, progress, settings)

    said = next(i for i, text in enumerate(progress.said) if "zero-shot is left out" in text)
    assert said < next(i for i, text in enumerate(progress.said) if text.startswith("  majority:"))
    assert any("0 s are left: fine-tuned goes once, not 3 times, over" in text for text in progress.said)
    assert [row.name for row in verdict.approaches] == ["majority", "few-shot-nearest", "fine-tuned"]
    manifest = read_json(out / "manifest.json")
    assert manifest["time_plan"]["dropped"] == [STEADINESS, "zero-shot", LONGEST_PROMPTS, LONGER_PROMPTS]
    assert manifest["training"]["epochs"] == 1
    assert manifest["training"]["examples"] == min(FEWEST_EXAMPLES, manifest["split"]["train"])
    assert verdict.test_examples == manifest["split"]["test"]
    assert any("zero-shot is left out" in words for words in manifest["findings"]["left_out"])
    assert pipeline.run(spec, out, SilentProgress(), settings) == verdict
    with pytest.raises(RunFolderError, match=r"max_minutes was 0\.01, is None"):
        pipeline.run(spec.model_copy(update={"max_minutes": None}), out, SilentProgress(), settings)
