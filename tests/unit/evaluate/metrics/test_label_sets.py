from __future__ import annotations

import pytest

from tunewise.evaluate.metrics.label_sets import list_labels, score_set
from tunewise.records import AnswerStatus, Score


def score(answer: str, expected: str, status: AnswerStatus = "answered") -> Score:
    return Score("rival", answer, answer, status, answer, expected, {}, 1, 1, 1.0)


def test_failed_and_missing_answers_name_no_label() -> None:
    scores = [score(" a\n", "a"), score("a", "a", "failed"), score("", "b", "missing")]
    assert list_labels(scores) == (["a", None, None], ["a", "a", "b"])
    assert score_set(scores) == pytest.approx((2 / 3 + 0) / 2)


def test_a_fence_around_a_label_is_no_part_of_it() -> None:
    fenced = "```\na\n```"
    assert list_labels([score(fenced, fenced), score("a", fenced)]) == (["a", "a"], ["a", "a"])
