from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from check_samples import data_of, find, real_data, support_rows
from tunewise.data.checks.lengths import LengthOutliers, TooLong
from tunewise.errors import ModelUnavailableError
from tunewise.records import Example


def test_a_pasted_document_and_a_stub_are_found_among_their_like() -> None:
    rows = support_rows()
    rows[4] = ("word " * 2000, rows[4][1])
    rows[9] = (rows[9][0], "ok")
    problem = find(LengthOutliers(), data_of(rows))
    assert problem is not None
    assert problem.lines == (5, 10)
    assert "has an input of 10000 characters" in problem.message


def test_lengths_that_vary_much_are_no_outliers() -> None:
    rows = [("question", "x" * 2 ** (number % 12)) for number in range(60)]
    assert find(LengthOutliers(), data_of(rows)) is None
    assert find(LengthOutliers(), real_data()) is None


def test_rows_with_more_tokens_than_are_trained_on_are_found() -> None:
    rows = support_rows()
    rows[4] = (rows[4][0], "word " * 400)
    rows[5] = (rows[5][0], "word " * 300)
    asked: list[int] = []

    def count_words(examples: Sequence[Example]) -> list[int]:
        asked.extend(example.line for example in examples)
        return [example.answer.count("word") for example in examples]

    problem = find(TooLong(), replace(data_of(rows), count_tokens=count_words, max_tokens=350))
    assert problem is not None
    assert (problem.severity, problem.lines) == ("error", (5,))
    assert "400 tokens, more than the 350" in problem.message
    assert asked == [5, 6], "the others are too short to ask about"


def test_without_a_model_it_says_that_nothing_was_looked_for() -> None:
    def count_nothing(examples: Sequence[Example]) -> list[int]:
        raise ModelUnavailableError("the embedded base model is not installed")

    data = replace(data_of([("question", "word " * 1000)]), count_tokens=count_nothing)
    problem = find(TooLong(), data)
    assert problem is not None
    assert (problem.severity, problem.lines) == ("note", ())
    assert "not looked for, though 1 rows" in problem.message
    assert "not installed" in problem.message
    assert find(TooLong(), replace(data_of(support_rows()), count_tokens=count_nothing)) is None
