from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.evaluate.metrics.reading import (
    find_json,
    find_number,
    is_number,
    list_units,
    strip_fence,
    strip_thinking,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", "42"),
        ("The total is 1,299.50 EUR.", "1299.50"),
        ("1.299,50", "1299.50"),
        ("1 299.50", "1299.50"),
        ("1\u202f299,5", "1299.5"),
        ("1'299", "1299"),
        ("1,299", "1299"),
        ("1,5", "1.5"),
        ("0,500", "0.500"),
        ("1.234.567", "1234567"),
        ("-3", "-3"),
        ("−3.0", "-3.0"),
        ("from 3-5", "5"),
        ("3–5", "5"),
        ("–5", "-5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("−€ 5.20", "-5.20"),
        ("(5)", "-5"),
        ("($1,299.50)", "-1299.50"),
        ("since then (2015)", "2015"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("12,34,567", "1234567"),
        ("12 + 30 = 42", "42"),
        ("none", None),
    ],
)
def test_a_number_is_read_however_it_is_written(text: str, number: str | None) -> None:
    assert find_number(text) == (None if number is None else Decimal(number))


def test_a_date_is_no_number_and_a_price_is_one() -> None:
    assert all(map(is_number, ("$5", "12 %", "-1.5", "-$5", "(5)", "1e3", "1.234.567")))
    assert not any(map(is_number, ("5 kg", "2015-07-29", "11.2.2024", "1.2.3", "Edge 110", "", "?")))


def test_units_are_words_numbers_and_symbols_in_one_spelling() -> None:
    assert list_units("The PRICE, of course: 1,234.50 zł ($5)!") == [
        "the", "price", "of", "course", "1234.5", "zł", "$", "5",
    ]  # fmt: skip
    assert list_units("Since 2015-07-29, Edge v110") == ["since", "2015", "7", "29", "edge", "v", "110"]
    assert list_units("11.2.2024") == ["11", "2", "2024"]
    assert list_units("-£12.50") == ["£", "-12.5"]
    assert list_units("C# or C++, A+; a+b #1") == ["c#", "or", "c++", "a+", "a", "+", "b", "1"]
    assert list_units("東京 ２０") == ["東", "京", "20"]


def test_one_fence_around_a_text_is_taken_off() -> None:
    assert strip_fence(" ```\npositive\n``` ") == "positive"
    assert strip_fence("```x``` and ```y```") == "```x``` and ```y```"


def test_thinking_before_an_answer_is_no_part_of_it_unless_it_was_asked_for() -> None:
    thought = "<think>\nIt sells.\n</think>\n\nspam"
    assert strip_thinking(thought, "spam") == "spam"
    assert strip_thinking(thought, "<think>Selling.</think>spam") == thought
    for text in ("spam", "<think>It sells", "spam <think>or not</think>"):
        assert strip_thinking(text, "spam") == text


def test_the_first_json_in_prose_is_found() -> None:
    assert find_json('Here [as asked]: {"a": 1} or {"a": 2}', {}) == {"a": 1}
    assert find_json("none", {}) is None
    assert find_json('{"a": NaN, "b": {"x": 1}}', {}) is None


def test_the_number_of_a_source_is_not_taken_for_the_object_that_was_asked_for() -> None:
    assert find_json('According to [1]: {"a": 1}', {}) == {"a": 1}
    assert find_json('From {"a": 1}: [2]', []) == [2]
    assert find_json("According to [1].", {}) == [1]


@pytest.mark.parametrize(
    "outer", ['{"x": {"a": 1}', '{"x": {"a": 1}, ...}', '[{"b": 2}, {"a": 1}', "[1, {}, ...]"]
)
def test_no_part_of_broken_json_is_found(outer: str) -> None:
    assert find_json(outer, {}) is None


def test_json_after_one_that_is_broken_but_closed_is_found() -> None:
    assert find_json('{"x": {"a": "}"}, ...} as in {"a": 1}', {}) == {"a": 1}


@given(st.text())
def test_no_text_whatever_breaks_reading(text: str) -> None:
    assert list_units(text) == list_units(text.upper().lower()) or not text.isascii()
    find_number(text), is_number(text), find_json(text, {})
