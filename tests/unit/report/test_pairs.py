"""The page compares the tuned model with every other approach, and says what each difference amounts to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_pages import Page
from report_samples import MANIFEST, UNTUNED, WIN, approach, score

from tunewise.records import Score
from tunewise.report.html import render_report
from tunewise.report.pairs import compare_with_each
from tunewise.report.rivals import find_contest

CONTEST = find_contest(WIN, MANIFEST)


def answers(right: dict[str, int], number: int = 200) -> list[Score]:
    """The first so many of each approach are right."""
    return [
        score(name, f"e{index}", float(index < first))
        for name, first in right.items()
        for index in range(number)
    ]


def test_each_pair_says_whether_it_matters() -> None:
    scores = answers({"majority": 20, "few-shot": 100, "rag": 149, "nearest-copy": 149, "fine-tuned": 150})
    verdict = replace(WIN, approaches=(*WIN.approaches, approach("rag", 0.745)))
    pairs = {pair.rival: pair for pair in compare_with_each(verdict, scores, CONTEST, MANIFEST)}
    assert pairs["few-shot"].gain == pytest.approx(25.0)
    assert pairs["few-shot"].zone == "better"
    assert pairs["rag"].zone == "at least about as good"
    assert pairs["nearest-copy"].zone == "no gain that matters", "to be as good as guessing is worth nothing"
    assert pairs["nearest-copy"].p_value == 1.0
    text = Page(render_report(verdict, scores, MANIFEST)).text
    assert "+25.0" in text
    assert "at least about as good" in text


def test_more_pairs_need_smaller_p_values() -> None:
    scores = answers({"few-shot": 100, "fine-tuned": 107})
    (alone,) = compare_with_each(WIN, scores, CONTEST, MANIFEST)
    both = compare_with_each(
        WIN,
        answers({"few-shot": 100, "nearest-copy": 100, "fine-tuned": 107}),
        CONTEST,
        MANIFEST,
    )
    assert [pair.p_value for pair in both] == pytest.approx([2 * alone.p_value] * 2)


def test_without_a_tuned_model_there_are_no_pairs() -> None:
    assert compare_with_each(UNTUNED, answers({"few-shot": 3}), find_contest(UNTUNED, {}), {}) == []
