"""How often training that changed nothing is recommended, from scored answers to the verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from run_folders import FINDINGS
from tunewise.decide.compare import compare
from tunewise.decide.verdict import decide
from tunewise.evaluate.runner import ScoredRun
from tunewise.records import TRAINS, Score

FOUND = replace(FINDINGS, floors=("majority",))
CHANCES = {"majority": 0.3, "few-shot": 0.7, "fine-tuned": 0.7}


def score(name: str, example: int, *, is_right: bool) -> Score:
    metrics = {"exact_match": float(is_right)}
    return Score(name, f"e{example}", f"e{example}", "answered", "a", "a", metrics, 20, 4, 5.0)


def recommended(rounds: int, n: int = 100) -> float:
    """In what share of runs training is, where the trained model is right as often as the best prompt."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(rounds):
        right = {name: rng.random(n) < chance for name, chance in CHANCES.items()}
        runs = {
            name: ScoredRun(
                tuple(score(name, i, is_right=bool(is_right)) for i, is_right in enumerate(answers)), 1.0
            )
            for name, answers in right.items()
        }
        found += decide(compare(runs, FOUND)).recommendation in TRAINS
    return found / rounds


def check(rounds: int) -> None:
    """One run in twenty at most, but for three standard errors."""
    assert recommended(rounds) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)


def test_training_that_changed_nothing_is_seldom_recommended() -> None:
    check(60)


@pytest.mark.slow
def test_nor_is_it_over_many_runs() -> None:
    assert recommended(1000) <= 0.05
