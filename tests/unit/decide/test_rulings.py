"""What rules say of a run: their words, their numbers and whom they name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from measured_runs import BROKEN, FACTS, gain, measured, with_arm, with_failed_calls
from tunewise.decide.verdict import decide


def test_whoever_could_still_be_as_good_is_named_where_nothing_can_be_told() -> None:
    m = measured(tuned=0.76, prompt=0.40, more={"remote:large": 0.74})
    verdict = decide(m)
    assert verdict.reasons[0].code == "cannot-tell"
    assert "+2.0 points over remote:large" in verdict.reasons[0].text
    assert "its lead over remote:large (74%) could be chance" in verdict.headline
    # What it gained over the best prompt is beyond doubt, and said apart.
    assert "measured-gain" in [reason.code for reason in verdict.reasons]


def test_a_prompt_that_was_not_the_best_on_validation_and_beats_training_is_named() -> None:
    verdict = decide(measured(tuned=0.75, prompt=0.60, more={"instructed": 0.83}))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("keep-prompting", "gain-too-small")
    assert "-8.0 points over instructed" in verdict.reasons[0].text
    assert "training gained nothing that matters over instructed (83%)" in verdict.headline
    assert "lead" not in verdict.headline


def test_a_gain_that_is_sure_and_small_is_not_called_chance() -> None:
    verdict = decide(measured(tuned=0.725, prompt=0.70, half=0.015))
    assert verdict.reasons[0].code == "cannot-tell"
    assert "is sure, but may be too small to matter" in verdict.reasons[0].text
    assert "chance" not in verdict.headline


def test_a_rival_without_a_score_on_any_example_leaves_it_open() -> None:
    m = measured()
    gains = {
        name: {rival: g for rival, g in of.items() if rival != "zero-shot"} for name, of in m.gains.items()
    }
    verdict = decide(replace(m, gains=gains))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("inconclusive", "cannot-tell")
    assert "could not be compared with zero-shot" in verdict.headline
    gains["fine-tuned"].pop("few-shot")
    assert "could not be compared with the best prompt (few-shot)" in decide(replace(m, gains=gains)).headline


def test_documents_that_training_adds_to_are_not_said_to_be_enough() -> None:
    m = measured(tuned=0.85, prompt=0.40, rag=0.70, both=0.86, lenient_gains={})
    m = replace(m, gains={**m.gains, "fine-tuned": {**m.gains["fine-tuned"], "rag": gain(0.02)}})
    verdict = decide(m)
    assert verdict.reasons[0].code == "retrieval-helps"
    assert "the tuned model with your documents does better than that" in verdict.reasons[0].text
    assert "does not surely beat the tuned model by what matters" in verdict.headline
    assert "adds nothing" not in verdict.reasons[0].text


@pytest.mark.parametrize("is_broken", [True, False])
def test_a_model_that_is_not_itself_is_no_evidence_for_documents(*, is_broken: bool) -> None:
    m = measured(tuned=0.10, prompt=0.40, rag=0.38, both=0.90, knows={"rag": 0.8, "few-shot": 0.3})
    assert decide(m).reasons[0].code == "both-needed"
    broken = with_arm(m, parity=BROKEN) if is_broken else with_failed_calls(m, "fine-tuned", 30)
    assert decide(broken).reasons[0].code == ("not-parity" if is_broken else "rival-calls-fail")
    facts = replace(measured(tuned=0.05, prompt=0.06), fact_or_skill=FACTS)
    assert decide(facts).reasons[0].code == "facts-need-documents"
    assert decide(with_arm(facts, parity=BROKEN)).reasons[0].code == "not-parity"


def test_documents_do_not_know_more_than_a_rival_whose_calls_failed() -> None:
    m = measured(tuned=None, prompt=0.40, rag=0.40, knows={"rag": 0.8, "few-shot": 0.3, "zero-shot": 0.3})
    assert decide(m).reasons[0].code == "answers-live-in-documents"
    assert decide(with_failed_calls(m, "few-shot", 90)).reasons[0].code != "answers-live-in-documents"


def test_more_examples_do_not_enlarge_a_test_file() -> None:
    few = measured(n=20)
    assert "bring about 40 more examples" in decide(replace(few, unique_examples=80)).headline
    assert "bring about 10 more test examples" in decide(replace(few, test_is_given=True)).headline
    rare = measured(tuned=0.97, prompt=0.90, floor=0.97, n=200)
    assert decide(replace(rare, unique_examples=800)).reasons[0].evidence["more_examples"] == 36
    assert decide(replace(rare, test_is_given=True)).reasons[0].evidence["more_examples"] == 9


@pytest.mark.parametrize("name", ["fine-tuned", "few-shot"])
def test_a_loss_by_calls_that_failed_says_nothing_of_the_model(name: str) -> None:
    verdict = decide(with_failed_calls(measured(tuned=0.60, prompt=0.70), name, 30))
    assert verdict.headline.startswith("Inconclusive: ")
    assert "13% of the calls of" in verdict.headline
    assert [reason.code for reason in verdict.reasons] == ["calls-fail"]
    assert "start the same command again" in verdict.reasons[0].text


def test_a_model_with_documents_whose_calls_failed_has_not_lost_either() -> None:
    m = measured(tuned=0.60, prompt=0.70, rag=0.65, both=0.62)
    assert decide(m).recommendation == "keep-prompting"
    assert decide(with_failed_calls(m, "fine-tuned-rag", 30)).reasons[0].code == "calls-fail"


def test_more_examples_are_as_many_as_the_test_set_takes_its_share_of() -> None:
    # A dealt test set of 200 is a fiftieth of so many, so each further rare one takes fifty.
    rare = measured(tuned=0.97, prompt=0.90, floor=0.97, n=200, unique_examples=10_000)
    assert decide(rare).reasons[0].evidence["more_examples"] == 9 * 50


def test_a_larger_test_set_than_is_dealt_has_to_be_given() -> None:
    chance = measured(tuned=0.74, prompt=0.70, half=0.06, n=100)
    assert "in one of their own (`--test`)" in decide(chance).reasons[0].text
    assert "--test" not in decide(replace(chance, test_is_given=True)).reasons[0].text


def test_groups_are_named_where_they_are_what_is_lacking() -> None:
    in_groups = measured(n=20, test_groups=3, unique_examples=80)
    assert "bring about 40 more examples, in 12 new groups or more" in decide(in_groups).headline
    alone = measured(n=5, test_groups=5, unique_examples=20)
    assert "group" not in decide(alone).headline


def test_what_a_given_test_file_lacks_is_told_apart_from_what_training_lacks() -> None:
    few = measured(n=20, unique_examples=30, test_is_given=True)
    assert "bring about 10 more test examples and 10 more examples to train on" in decide(few).headline


def test_one_more_example_is_one_example() -> None:
    assert decide(measured(unique_examples=49)).headline.endswith("bring about 1 more example.")


def test_the_commonest_answer_is_counted_whatever_the_metric_makes_of_it() -> None:
    m = measured(tuned=0.85, prompt=0.85, floor=0.85, n=60, primary_metric="json_field_accuracy")
    assert decide(m).reasons[0].code == "rare-answers-too-few"
    assert decide(replace(m, commonest_answer=0.02)).reasons[0].code == "nothing-beats-guessing"


def test_a_metric_that_scores_few_test_examples_leaves_too_few() -> None:
    m = measured(tuned=1.0, n=200, unique_examples=800, compared_examples=8, primary_metric="own")
    verdict = decide(m)
    assert (verdict.reasons[0].code, verdict.deployed) == ("too-few-examples", False)
    assert "scores 100% on own over 8 of 200 unseen examples" in verdict.headline
    assert "(own gives a score to 8)" in verdict.reasons[0].text


def test_who_has_no_score_is_not_said_to_have_a_score_of_zero() -> None:
    m = measured(prompt=0.0, compared_examples=0, without_score=frozenset({"few-shot"}))
    assert "the best prompt (few-shot) no score, " in decide(m).headline


def test_a_cheaper_model_says_when_it_pays_back_beside_each_rival() -> None:
    m = measured(tuned=0.71, prompt=0.70, half=0.01, more={"instructed": 0.69}, calls_per_month=1e6)
    costs = {"few-shot": 0.40, "instructed": 0.20, "fine-tuned": 0.10}
    m = replace(m, approaches=tuple(
        replace(row, cost_per_1000_calls=costs.get(row.name, row.cost_per_1000_calls)) for row in m.approaches
    ))  # fmt: skip
    verdict = decide(m)
    assert verdict.reasons[0].code == "same-quality-cheaper"
    assert f"after {verdict.break_even_calls:,} calls training has paid for itself" in verdict.reasons[0].text
    assert "beside instructed, which it does not surely beat, after 200." in verdict.reasons[0].text


def test_a_model_tuned_with_documents_that_wins_but_fails_a_guard_is_not_passed_over_in_silence() -> None:
    m = with_failed_calls(measured(tuned=0.40, prompt=0.38, rag=0.38, both=0.90), "fine-tuned-rag", 9)
    assert decide(m).reasons[0].code == "tuned-calls-fail"
    assert (
        decide(replace(m, lenient_gains={"fine-tuned": {"few-shot": gain(0.0)}})).recommendation
        == "keep-prompting"
    )
