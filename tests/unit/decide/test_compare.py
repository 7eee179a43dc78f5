from __future__ import annotations

import pytest

from tunewise.decide.compare import saved_per_call
from tunewise.evaluate.runner import ScoredRun
from tunewise.records import Score


def run(input_tokens: int, latency_ms: float, seconds: float) -> ScoredRun:
    scores = tuple(
        Score("rival", str(i), str(i), "answered", "a", "a", {"exact_match": 1.0}, input_tokens + i, 1,
              latency_ms)
        for i in range(2)
    )  # fmt: skip
    return ScoredRun(scores, seconds)


RUNS = {"few-shot": run(100, 300.0, 8.0), "fine-tuned": run(20, 50.0, 2.0), "majority": run(0, 0.0, 0.0)}


def test_what_a_tuned_call_saves_is_the_difference_to_the_best_prompt() -> None:
    saved = saved_per_call(RUNS, "few-shot", hourly_price=3600.0)
    assert saved is not None
    assert saved.rival == "few-shot"
    assert saved.input_tokens == 80
    assert saved.milliseconds == 250
    assert saved.money == pytest.approx(3.0)


def test_nothing_is_said_of_a_comparison_that_was_not_made() -> None:
    assert saved_per_call(RUNS, None, 1.0) is None
    assert saved_per_call({"few-shot": RUNS["few-shot"]}, "few-shot", 1.0) is None
