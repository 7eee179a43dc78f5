from __future__ import annotations

import pytest

from check_samples import data_of, find, label_rows, real_data, support_rows
from tunewise.data.checks.label_balance import Imbalance, RareLabels, TooFewPerLabel
from tunewise.data.checks.labels import describe_answers, infer_labels


def test_few_short_answers_are_labels_and_values_are_none() -> None:
    labels = infer_labels(answer for _, answer in label_rows({"spam": 30, "ham": 60, "hma": 1}))
    assert labels is not None
    assert labels.majority == ("ham", 60 / 91)
    assert infer_labels(example.answer for example in real_data().examples) is None
    assert infer_labels(answer for _, answer in support_rows()) is None
    assert infer_labels(f"v{number // 2}" for number in range(200)) is None
    assert infer_labels([]) is None


def test_answers_are_described_by_their_kind() -> None:
    assert describe_answers(["yes"] * 30 + ["no"] * 10) == "2 labels: 'yes' 75%, 'no' 25%"
    assert describe_answers(["a", "bcd", "efghi"]) == "3 different ones, too few to show a form"
    assert describe_answers([f"2024-05-{day:02}" for day in range(1, 29)]) == "short answers like 2024-05-01"


def test_the_share_of_a_majority_is_told() -> None:
    problem = find(Imbalance(), data_of(label_rows({"ham": 90, "spam": 10})))
    assert problem is not None
    assert "90.0% of the answers are 'ham'" in problem.message
    assert find(Imbalance(), data_of(label_rows({"ham": 60, "spam": 40}))) is None


def test_a_label_that_one_row_has_is_named_with_what_was_meant() -> None:
    problem = find(RareLabels(), data_of(label_rows({"positive": 40, "negative": 40, "postive": 1})))
    assert problem is not None
    assert problem.lines == (81,)
    assert "is it 'positive'?" in problem.message


def test_labels_with_a_handful_of_rows_are_counted() -> None:
    problem = find(TooFewPerLabel(), data_of(label_rows({"a": 40, "b": 12, "c": 3, "d": 1})))
    assert problem is not None
    assert problem.lines == (53, 54, 55)
    assert "'c' 3" in problem.message


def test_a_label_misspelt_twice_alike_is_asked_about_too() -> None:
    problem = find(TooFewPerLabel(), data_of(label_rows({"positive": 40, "negative": 40, "postive": 2})))
    assert problem is not None
    assert problem.lines == (81, 82)
    assert "'postive' 2 (is it 'positive'?)" in problem.message


@pytest.mark.parametrize("check", [Imbalance(), RareLabels(), TooFewPerLabel()])
def test_values_and_even_labels_are_clean(check) -> None:
    assert find(check, real_data()) is None
    assert find(check, data_of(label_rows({"positive": 40, "negative": 30, "neutral": 30}))) is None
