"""Each rule: a run on which it decides, and runs on the other side of each of its thresholds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from measured_runs import (
    BROKEN,
    FACTS,
    FORGETFUL,
    SKILL,
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
