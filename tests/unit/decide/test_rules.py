"""Each rule: a run on which it decides, and runs on the other side of each of its thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from measured_runs import (
    BROKEN,
    FACTS,
    FORGETFUL,
    SKILL,
    gain,
    measured,
    with_arm,
    with_failed_calls,
    without,
)
from tunewise.decide.guards import GUARDS
from tunewise.decide.measurements import CurveForecast, Disagreement, KnowingGain, Measurements, Retrieval
from tunewise.decide.verdict import RULES, decide
from tunewise.records import Estimate, Recommendation

RISING, FLAT = CurveForecast(0.03, 0.06, 0.09), CurveForecast(0.0, 0.01, 0.02)
CONTRADICTORY, AGREED = Disagreement(0.19, 20), Disagreement(0.18, 20)
FOUND, UNTOLD = Retrieval(0.9, 0.3), Retrieval(None, None)


@dataclass(frozen=True)
class Case:
    """A run on which a rule decides, and others, each short of it in one respect, on which it is silent."""

    code: str
    recommendation: Recommendation
    decided: Measurements
    silent: tuple[Measurements, ...]


def guessing(**changes: object) -> Measurements:
    return measured(tuned=0.41, prompt=0.40, floor=0.40, **changes)  # type: ignore[arg-type]


def mispaired(
    own_auc: float = 0.6, mismatch: float = 0.25, tuned: float = 0.10, prompt: float = 0.05
) -> Measurements:
    seen = replace(SKILL, own_auc=own_auc, mismatch=mismatch)
    return measured(tuned=tuned, prompt=prompt, fact_or_skill=seen)


def imbalanced(floor: float, n: int) -> Measurements:
    return measured(tuned=floor, prompt=floor, floor=floor, n=n)


def facts(**changes: object) -> Measurements:
    seen = {name: change for name, change in changes.items() if hasattr(FACTS, name)}
    rest = {name: change for name, change in changes.items() if name not in seen}
    return measured(tuned=0.21, prompt=0.04, fact_or_skill=replace(FACTS, **seen), **rest)  # type: ignore[arg-type]


def knowing(rag: float, prompt: float, tuned: float, **changes: object) -> Measurements:
    known = {"rag": rag, "zero-shot": 0.05, "few-shot": prompt, "fine-tuned": tuned}
    return measured(tuned=0.50, prompt=0.20, rag=0.20, knows=known, **changes)  # type: ignore[arg-type]


def known_on(m: Measurements, examples: int) -> Measurements:
    gains = {
        name: {rival: KnowingGain(k.gain, examples) for rival, k in gains.items()}
        for name, gains in m.knowing_gains.items()
    }
    return replace(m, knowing_gains=gains)


def cheaper(tuned: float = 0.71, calls: float = 200.0, **changes: object) -> Measurements:
    """Undecided, but not inferior; a call costs 0.00005 instead of 0.00008, a training 0.02."""
    m = measured(tuned=tuned, prompt=0.70, half=0.025, **changes)  # type: ignore[arg-type]
    return replace(m, calls_per_month=calls)


def with_cost(m: Measurements, name: str, cost_per_1000_calls: float) -> Measurements:
    rows = (
        replace(row, cost_per_1000_calls=cost_per_1000_calls) if row.name == name else row
        for row in m.approaches
    )
    return replace(m, approaches=tuple(rows))


CASES = [
    Case(
        "answers-mispaired", "fix-the-data",
        mispaired(),
        (
            mispaired(own_auc=0.61),
            mispaired(mismatch=0.24),
            guessing(),
            # Whoever is right about the answers has found them with their own prompts.
            mispaired(tuned=0.92),
            mispaired(prompt=0.92),
        ),
    ),
    Case("no-score", "inconclusive", measured(compared_examples=0), (measured(compared_examples=1),)),
    Case(
        "good-on-few-examples", "keep-prompting",
        measured(tuned=1.0, prompt=1.0, n=40, unique_examples=49),
        (
            measured(tuned=1.0, prompt=1.0, n=40, unique_examples=50),
            measured(tuned=1.0, prompt=0.97, n=40, unique_examples=49),
            measured(tuned=1.0, prompt=1.0, floor=0.96, n=40, unique_examples=49),
        ),
    ),
    Case(
        "good-on-few-examples", "use-rag",
        replace(measured(tuned=1.0, prompt=0.5, rag=1.0, n=40, unique_examples=49)),
        (measured(tuned=1.0, prompt=0.5, rag=0.9, n=40, unique_examples=49),),
    ),
    Case("too-few-examples", "collect-more-data", measured(unique_examples=49),
         (measured(unique_examples=50),)),
    Case("too-few-examples", "collect-more-data", measured(n=29), (measured(n=30),)),
    Case("too-few-examples", "collect-more-data", measured(test_groups=5), (measured(test_groups=6),)),
    Case(
        "both-needed", "fine-tune-and-rag",
        measured(tuned=0.50, rag=0.50, both=0.60),
        (
            measured(tuned=0.50, rag=0.57, both=0.60),
            measured(tuned=0.57, rag=0.50, both=0.60),
            measured(tuned=0.50, rag=0.50, floor=0.57, both=0.60),
            measured(tuned=0.57, rag=0.57, both=0.59, half=0.001),
            with_arm(measured(tuned=0.50, rag=0.50, both=0.60), "fine-tuned-rag", parity=BROKEN),
            with_failed_calls(measured(tuned=0.50, rag=0.50, both=0.60), "rag", 5),
        ),
    ),
    Case(
        "answers-live-in-documents", "use-rag",
        knowing(rag=0.80, prompt=0.10, tuned=0.70),
        (
            knowing(rag=0.80, prompt=0.10, tuned=0.71),
            knowing(rag=0.80, prompt=0.71, tuned=0.10),
            knowing(rag=0.80, prompt=0.10, tuned=0.70, half=0.11),
            known_on(knowing(rag=0.80, prompt=0.10, tuned=0.70), 29),
            replace(knowing(rag=0.80, prompt=0.10, tuned=0.70), knowing_gains={}),
        ),
    ),
    Case(
        "facts-need-documents", "collect-more-data",
        facts(),
        (
            facts(own_auc=0.61),
            facts(own_coverage=0.11),
            facts(distinct_answers=20),
            facts(gap_closed=Estimate(0.2, 0.1, 0.36)),
            facts(gap_closed=None),
            facts(near_miss=0.16),
            facts(near_miss=None),
            facts(near_miss=0.16, learning_curve=CurveForecast(0.0, 0.02, 0.04)),
            facts(retrieval=FOUND),
            facts(retrieval=UNTOLD),
            measured(fact_or_skill=None),
        ),
    ),
    Case("facts-need-documents", "collect-more-data", facts(near_miss=0.16, learning_curve=FLAT),
         (facts(near_miss=None, learning_curve=RISING),)),
    Case("documents-lack-answers", "collect-more-data", facts(retrieval=Retrieval(0.39, 0.30)),
         (facts(retrieval=Retrieval(0.41, 0.30)), facts(retrieval=UNTOLD), facts())),
    Case("retrieval-misses", "inconclusive", facts(retrieval=Retrieval(0.49, 0.30)),
         (facts(retrieval=Retrieval(0.50, 0.30)), facts(retrieval=UNTOLD), facts())),
    Case(
        "beats-every-rival", "fine-tune",
        measured(tuned=0.76, prompt=0.70),
        (
            measured(tuned=0.749, prompt=0.70),
            measured(tuned=0.729, prompt=0.70, half=0.001),
            measured(tuned=0.76, prompt=0.70, floor=0.72),
            measured(tuned=0.76, prompt=0.70, more={"remote:large": 0.72}),
            measured(tuned=0.76, prompt=0.50, rag=0.72),
            measured(tuned=None),
        ),
    ),
    Case(
        "same-quality-cheaper", "fine-tune",
        cheaper(),
        (
            cheaper(tuned=0.694),
            cheaper(floor=0.69),
            cheaper(calls=110.0),
            replace(cheaper(), calls_per_month=None),
            replace(cheaper(), upkeep_per_month=0.01),
            with_cost(cheaper(), "fine-tuned", 0.057),
            with_cost(cheaper(more={"remote:small": 0.70}), "remote:small", 0.05),
            with_failed_calls(cheaper(), "fine-tuned", 5),
            # Better than every prompt, but no cheaper; and than guessing, but not by what matters.
            with_cost(cheaper(tuned=0.80, floor=0.773), "fine-tuned", 0.057),
            # Half of what the prompt is better than guessing is less than three points.
            replace(measured(tuned=0.71, prompt=0.705, floor=0.675, half=0.022), calls_per_month=1e6),
        ),
    ),
    Case("same-quality-cheaper", "fine-tune", cheaper(tuned=0.80, floor=0.773),
         (replace(cheaper(tuned=0.80, floor=0.773), calls_per_month=None),)),
    Case("not-parity", "keep-prompting", with_arm(measured(), parity=BROKEN),
         (measured(), with_arm(measured(), parity=replace(BROKEN, passed=True)))),
    Case("not-parity", "keep-prompting", with_arm(measured(tuned=0.60, prompt=0.70), parity=BROKEN),
         (measured(tuned=0.60, prompt=0.70),)),
    Case("not-parity", "use-rag", with_arm(measured(rag=0.60), parity=BROKEN), (measured(rag=0.60),)),
    Case("rival-calls-fail", "inconclusive", with_failed_calls(measured(), "few-shot", 5),
         (with_failed_calls(measured(), "few-shot", 4),
          with_failed_calls(measured(tuned=0.60, prompt=0.70), "few-shot", 5))),
    Case("rival-calls-fail", "inconclusive", with_failed_calls(measured(), "zero-shot", 5),
         (with_failed_calls(measured(), "zero-shot", 4),)),
    Case("tuned-calls-fail", "keep-prompting", with_failed_calls(measured(), "fine-tuned", 5),
         (with_failed_calls(measured(), "fine-tuned", 4),)),
    Case("guesses-facts", "keep-prompting", facts(retrieval=FOUND),
         (facts(retrieval=FOUND, own_auc=0.61), measured(tuned=0.21, prompt=0.20, retrieval=FOUND))),
    Case(
        "knows-less", "keep-prompting",
        measured(knows={"few-shot": 0.80, "fine-tuned": 0.77}),
        (
            measured(knows={"few-shot": 0.80, "fine-tuned": 0.771}),
            known_on(measured(knows={"few-shot": 0.80, "fine-tuned": 0.50}), 29),
            measured(),
        ),
    ),
    # Whoever knows more counts, also a prompt that is not the best one for its form.
    Case("knows-less", "keep-prompting",
         measured(knows={"zero-shot": 0.80, "few-shot": 0.70, "fine-tuned": 0.77}),
         (measured(knows={"zero-shot": 0.79, "few-shot": 0.70, "fine-tuned": 0.77}),)),
    Case("knows-less", "use-rag",
         measured(rag=0.40, knows={"rag": 0.80, "few-shot": 0.78, "zero-shot": 0.1, "fine-tuned": 0.77}),
         (measured(rag=0.40, knows={"rag": 0.79, "few-shot": 0.78, "zero-shot": 0.1, "fine-tuned": 0.77}),)),
    Case(
        "forgets", "keep-prompting",
        with_arm(measured(general_use=True), forgetting=FORGETFUL),
        (
            with_arm(measured(general_use=False), forgetting=FORGETFUL),
            measured(general_use=True),
            with_arm(measured(general_use=True), forgetting=replace(
                FORGETFUL, kl_divergence=0.1, retention=Estimate(-0.05, -0.09, -0.01), task_form_share=0.049
            )),
            with_arm(measured(general_use=True), forgetting=replace(
                FORGETFUL, kl_divergence=0.1, retention=Estimate(-0.12, -0.25, 0.01)
            )),
        ),
    ),
    Case("forgets", "keep-prompting",
         with_arm(measured(general_use=True), forgetting=replace(
             FORGETFUL, kl_divergence=0.0, retention=Estimate(0.0, -0.01, 0.01), task_form_share=0.05)),
         (measured(general_use=True),)),
    Case(
        "retrieval-helps", "use-rag",
        measured(tuned=0.30, prompt=0.28, rag=0.40),
        (
            measured(tuned=0.30, prompt=0.36, rag=0.40),
            measured(tuned=0.30, prompt=0.28, floor=0.36, rag=0.40),
            measured(tuned=0.30, prompt=0.28, rag=0.309, half=0.001),
            with_failed_calls(measured(tuned=0.30, prompt=0.28, rag=0.40), "few-shot", 5),
            without(measured(tuned=0.30, prompt=0.28, rag=0.40), "zero-shot", "few-shot"),
        ),
    ),
    Case("calls-fail", "inconclusive", with_failed_calls(measured(tuned=0.60, prompt=0.70), "fine-tuned", 5),
         (with_failed_calls(measured(tuned=0.60, prompt=0.70), "fine-tuned", 4),
          with_failed_calls(measured(tuned=0.60, prompt=0.70), "zero-shot", 5))),
    Case("calls-fail", "inconclusive", with_failed_calls(imbalanced(0.97, 200), "few-shot", 5),
         (with_failed_calls(imbalanced(0.97, 200), "few-shot", 4),)),
    Case("rare-answers-too-few", "collect-more-data", imbalanced(0.97, 200),
         (imbalanced(0.97, 500), imbalanced(0.79, 60), measured(tuned=0.99, prompt=0.98, floor=0.9))),
    Case("rare-answers-too-few", "collect-more-data", imbalanced(0.80, 70), (imbalanced(0.80, 75),)),
    Case("no-relation-found", "fix-the-data", guessing(disagreement=CONTRADICTORY),
         (guessing(disagreement=AGREED), guessing(disagreement=replace(CONTRADICTORY, duplicate_groups=19)),
          measured(disagreement=CONTRADICTORY))),
    Case("no-relation-found", "fix-the-data", guessing(neighbours_gain=0.029),
         (guessing(neighbours_gain=0.03), measured(neighbours_gain=0.0))),
    Case("still-learning", "collect-more-data", guessing(learning_curve=RISING),
         (guessing(learning_curve=replace(RISING, low=0.029)), measured(learning_curve=RISING))),
    Case("nothing-beats-guessing", "inconclusive", guessing(),
         (measured(tuned=0.46, prompt=0.40, floor=0.40), measured(tuned=0.40, prompt=0.46, floor=0.40),
          measured(tuned=0.40, prompt=0.40, rag=0.46, floor=0.40))),
    Case("prompting-already-good", "keep-prompting", measured(tuned=0.99, prompt=0.98),
         (measured(tuned=0.99, prompt=0.969), measured(tuned=0.99, prompt=0.98, floor=0.94))),
    Case("prompting-already-good", "keep-prompting",
         measured(tuned=0.89, prompt=0.88, disagreement=CONTRADICTORY),
         (measured(tuned=0.89, prompt=0.869, disagreement=CONTRADICTORY),)),
    Case(
        "more-data-would-help", "collect-more-data",
        measured(tuned=0.71, prompt=0.70, learning_curve=replace(RISING, low=0.021)),
        (
            measured(tuned=0.71, prompt=0.70, learning_curve=replace(RISING, low=0.019)),
            measured(tuned=0.71, prompt=0.70),
            measured(tuned=0.71, prompt=0.70, learning_curve=RISING, fact_or_skill=FACTS, retrieval=FOUND),
        ),
    ),
    Case(
        "labels-cap-the-score", "fix-the-data",
        measured(tuned=0.875, prompt=0.86, disagreement=CONTRADICTORY),
        (
            measured(tuned=0.869, prompt=0.86, disagreement=CONTRADICTORY),
            measured(tuned=0.875, prompt=0.86, disagreement=AGREED),
        ),
    ),
    Case("gain-too-small", "keep-prompting", measured(tuned=0.71, prompt=0.70, half=0.019),
         (measured(tuned=0.71, prompt=0.70, half=0.021),)),
    Case("no-gain-seen", "keep-prompting", measured(tuned=0.70, prompt=0.70),
         (measured(tuned=0.701, prompt=0.70),)),
    Case("not-compared", "inconclusive", measured(tuned=None), (measured(),)),
    Case("not-compared", "inconclusive", without(measured(), "few-shot", "zero-shot"), (measured(),)),
    Case("cannot-tell", "inconclusive", measured(tuned=0.71, prompt=0.70),
         (measured(tuned=None), measured())),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{n}" for n, case in enumerate(CASES)])
def test_a_rule_decides_where_it_holds_and_is_silent_beyond_its_thresholds(case: Case) -> None:
    rule = next(rule for rule in RULES if rule.code == case.code)
    verdict = decide(case.decided)
    assert (verdict.recommendation, verdict.reasons[0].code) == (case.recommendation, case.code)
    assert case.recommendation in rule.recommendations
    for number, m in enumerate(case.silent):
        # Guards are asked about every winner; only the ruling says which of them stopped it.
        assert rule.ask(m) is None, number


def test_every_rule_has_a_case_for_each_of_its_recommendations() -> None:
    seen = {(case.code, case.recommendation) for case in CASES}
    possible = {(rule.code, recommendation) for rule in RULES for recommendation in rule.recommendations}
    # Two of the guards, with documents as the way out, are one function with the others.
    assert possible - seen <= {(guard.code, "use-rag") for guard in GUARDS}
    assert not seen - possible


def test_no_two_rules_share_a_code() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_of_several_guards_the_first_is_named() -> None:
    m = with_arm(with_failed_calls(measured(), "fine-tuned", 9), parity=BROKEN)
    assert decide(m).reasons[0].code == "not-parity"


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
    assert "not surely better than the tuned model" in verdict.headline
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
    assert "the best prompt (few-shot) no score, as no test example has" in decide(m).headline


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
