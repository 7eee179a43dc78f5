"""Measurements of runs as if exactly measured, for the tests of the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tunewise.decide.measurements import FactOrSkill, Forgetting, KnowingGain, Measurements, TrainedArm
from tunewise.evaluate.stats import PairedGain, wilson
from tunewise.records import ApproachResult, Estimate, ParityCertificate

MODEL = "ft:smollm2-135m-instruct:local:prices:4fj2x9"
MODEL_WITH_DOCUMENTS = "ft:smollm2-135m-instruct:local:prices:7kq0aa"
PARITY = ParityCertificate("float32", 32, 500, True, 4e-6, 6e-8, 1e-3, True)
BROKEN = replace(PARITY, max_difference=2.3, mean_difference=0.4, passed=False)
FACTS = FactOrSkill(0.5, 0.09, 0.02, 400, Estimate(0.2, 0.12, 0.30), 0.05)
SKILL = FactOrSkill(0.86, 0.05, 0.7, 800, Estimate(0.9, 0.8, 1.0), 0.6)
FORGETFUL = Forgetting(0.2, 0.1, Estimate(-0.12, -0.18, -0.06), 0.01)
COSTS = {"zero-shot": 0.05, "few-shot": 0.08, "rag": 0.12, "fine-tuned": 0.05, "fine-tuned-rag": 0.07}
TOKENS = {"few-shot": 412.0, "rag": 600.0}


def result(name: str, score: float, n: int = 233, failed: int = 0) -> ApproachResult:
    interval = wilson(score * n, n)
    return ApproachResult(
        name, score, interval.low, interval.high, n - failed, failed, TOKENS.get(name, 40.0), 17.0,
        COSTS.get(name, 0.0),
    )  # fmt: skip


def gain(estimate: float, half: float = 0.05, p: float = 0.0001, discordance: float = 0.3) -> PairedGain:
    return PairedGain(estimate, estimate - half, estimate + half, p, discordance, 1.0)


def gains_among(scores: Mapping[str, float], half: float) -> dict[str, dict[str, PairedGain]]:
    """What each gains over each other, all with intervals of the same width."""
    return {
        name: {rival: gain(score - other, half) for rival, other in scores.items() if rival != name}
        for name, score in scores.items()
    }


def measured(
    tuned: float | None = 0.92,
    prompt: float = 0.23,
    floor: float = 0.05,
    half: float = 0.05,
    n: int = 233,
    *,
    rag: float | None = None,
    both: float | None = None,
    more: Mapping[str, float] | None = None,
    knows: Mapping[str, float] | None = None,
    **changes: Any,
) -> Measurements:
    """One run with a floor, two prompts (few-shot the better) and a tuned model; if asked, with documents.

    `more` are scores of other approaches, `knows` the knowledge of each that is given.
    """
    asked = {"rag": rag, "fine-tuned": tuned, "fine-tuned-rag": both}
    scores = {"majority": floor, "zero-shot": max(0.0, prompt - 0.10), "few-shot": prompt, **(more or {})}
    scores |= {name: score for name, score in asked.items() if score is not None}
    models = {"fine-tuned": MODEL, "fine-tuned-rag": MODEL_WITH_DOCUMENTS}
    knowing = gains_among(knows or {}, half)
    usual = Measurements(
        primary_metric="exact_match",
        unique_examples=1143,
        floors=("majority",),
        best_untrained="rag" if rag is not None and rag > prompt else "few-shot",
        best_closed_book="few-shot",
        seed=0,
        currency="GBP",
        hourly_price=0.10,
        hourly_price_is_assumed=True,
        arms=tuple(TrainedArm(name, model, 720.0) for name, model in models.items() if name in scores),
        test_examples=n,
        test_groups=n,
        compared_examples=n,
        commonest_answer=floor,
        approaches=tuple(result(name, score, n) for name, score in scores.items()),
        gains=gains_among(scores, half),
        knowing=dict(knows or {}),
        knowing_gains={
            name: {rival: KnowingGain(paired, n) for rival, paired in gains.items()}
            for name, gains in knowing.items()
        },
    )
    return replace(usual, **changes)


def with_arm(m: Measurements, name: str = "fine-tuned", **changes: Any) -> Measurements:
    """The same run, in which something else is known of one trained model."""
    return replace(m, arms=tuple(replace(arm, **changes) if arm.name == name else arm for arm in m.arms))


def with_failed_calls(m: Measurements, name: str, failed: int) -> Measurements:
    """The same run, in which some calls of one approach failed."""
    rows = (
        replace(row, answered=row.answered - failed, failed=failed) if row.name == name else row
        for row in m.approaches
    )
    return replace(m, approaches=tuple(rows))


def without(m: Measurements, *names: str) -> Measurements:
    """The same run, in which these approaches were not asked."""
    gains = {
        name: {rival: paired for rival, paired in gains.items() if rival not in names}
        for name, gains in m.gains.items()
        if name not in names
    }
    return replace(
        m,
        approaches=tuple(row for row in m.approaches if row.name not in names),
        gains=gains,
        arms=tuple(arm for arm in m.arms if arm.name not in names),
        floors=tuple(floor for floor in m.floors if floor not in names),
        best_untrained=None if m.best_untrained in names else m.best_untrained,
        best_closed_book=None if m.best_closed_book in names else m.best_closed_book,
    )
