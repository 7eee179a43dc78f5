from __future__ import annotations

import pytest

from tunewise.evaluate.metrics.label_sets import list_labels, macro_f1, score_set
from tunewise.records import AnswerStatus, Score


def score(answer: str, expected: str, status: AnswerStatus = "answered") -> Score:
    return Score("rival", answer, answer, status, answer, expected, {}, 1, 1, 1.0)


def test_a_rare_label_counts_as_much_as_a_common_one() -> None:
    expected = ["ham"] * 9 + ["spam"]
    assert macro_f1(["ham"] * 10, expected) == pytest.approx((2 * 9 / 19 + 0) / 2)
    assert macro_f1(expected, expected) == 1.0


def test_each_labels_f1_weighs_its_false_alarms_against_what_it_missed() -> None:
    # a: 1 right, 1 missed, 0 false; b: 1 right, 0 missed, 1 false.
    assert macro_f1(["a", "b", "b"], ["a", "a", "b"]) == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_what_is_no_label_is_wrong_and_makes_no_label_of_its_own() -> None:
    assert macro_f1(["a", "The label is b."], ["a", "b"]) == pytest.approx(0.5)
    assert macro_f1(["a", None], ["a", "b"]) == pytest.approx(0.5)


def test_failed_and_missing_answers_name_no_label() -> None:
    scores = [score(" a\n", "a"), score("a", "a", "failed"), score("", "b", "missing")]
    assert list_labels(scores) == (["a", None, None], ["a", "a", "b"])
    assert score_set("macro_f1", scores) == pytest.approx((2 / 3 + 0) / 2)
