from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metric_samples import PRICE
from tunewise.evaluate.metrics.json_fields import json_field_accuracy, json_validity
from tunewise.evaluate.metrics.matching import contains_answer, exact_match, numeric_match


@pytest.mark.parametrize(
    "answer",
    [
        PRICE,
        f"  {PRICE}\n",
        f"```json\n{PRICE}\n```",
        f"```\n{PRICE}```",
        f"The price is {PRICE}, I think.",
        f"Here [as asked]: {PRICE}",
        f"According to [1]: {PRICE}",
        f"Sure!\n```json\n{PRICE}\n```\nAnything else?",
        '{"currency":"zł","amount":2e3}',
        '{"currency": "z\\u0142", "amount": 2000.0}',
    ],
)
def test_json_is_matched_by_what_it_says(answer: str) -> None:
    assert exact_match(answer, PRICE) == 1.0
    assert json_field_accuracy(answer, PRICE) == 1.0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("", PRICE),
        ("2000 zł", PRICE),
        ('{"amount": 2000}', PRICE),
        ('{"amount": "2000", "currency": "zł"}', PRICE),
        ('{"amount": 2000, "currency": "zł", "note": 1}', PRICE),
        ('{"amount": 1, "amount": 2000, "currency": "zł"}', PRICE),
        ('{"a": true}', '{"a": 1}'),
        ('{"a": 0}', '{"a": false}'),
        ('{"a": null}', '{"a": {}}'),
        ('{"a": []}', '{"a": {}}'),
        ("[1, 2]", "[2, 1]"),
        ('{"0": 1}', "[1]"),
        ('{"a": NaN, "b": {"x": 1}}', '{"x": 1}'),
        ('{"x": {"a": 1}', '{"a": 1}'),
    ],
)
def test_json_that_says_something_else_does_not_match(answer: str, expected: str) -> None:
    assert exact_match(answer, expected) == 0.0


def test_fields_are_counted_over_what_was_expected_and_what_was_given() -> None:
    assert json_field_accuracy('{"amount": 2000, "currency": "EUR"}', PRICE) == 0.5
    assert json_field_accuracy('{"amount": 2000}', PRICE) == 0.5
    assert json_field_accuracy('{"amount": 2000, "currency": "zł", "x": 1, "y": 2}', PRICE) == 0.5
    assert json_field_accuracy('{"a": {"b": [1, 2]}, "c": 0}', '{"a": {"b": [1, 3]}}') == pytest.approx(1 / 3)
    assert json_field_accuracy("{}", "{}") == 1.0
    assert json_field_accuracy("no JSON", PRICE) == 0.0


def test_json_is_valid_only_as_it_stands() -> None:
    assert json_validity(f" {PRICE}\n", PRICE) == 1.0
    assert json_validity('{"other": "keys"}', PRICE) == 1.0
    for loose in (f"```json\n{PRICE}\n```", f"Price: {PRICE}", "2000", '{"a": NaN}', '{"a": 1, "a": 1}', ""):
        assert json_validity(loose, PRICE) == 0.0


def test_metrics_of_json_are_undefined_where_none_was_expected() -> None:
    assert json_field_accuracy(PRICE, "n/a") is None
    assert json_validity(PRICE, "n/a") is None


def test_an_expected_answer_that_is_no_json_is_compared_as_text() -> None:
    assert exact_match(" n/a ", "n/a") == 1.0
    assert exact_match(PRICE, "n/a") == 0.0


def test_text_is_matched_but_for_the_white_space_and_fence_around_it() -> None:
    assert exact_match(" positive\n", "positive") == 1.0
    assert exact_match("```\npositive\n```", "positive") == 1.0
    assert exact_match("Positive", "positive") == 0.0
    assert exact_match("positive ```x```", "positive") == 0.0


def test_a_fence_around_what_is_expected_makes_no_difference() -> None:
    query, price = "```sql\nSELECT 1;\n```", f"```json\n{PRICE}\n```"
    assert exact_match(query, query) == exact_match("SELECT 1;", query) == 1.0
    assert exact_match(price, price) == exact_match(PRICE.replace(" ", ""), price) == 1.0
    assert exact_match("SELECT 2;", query) == exact_match("{}", price) == 0.0


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [
        ("The answer is 3.14.", "3.14", 1.0),
        ("3.1416", "3.14", 1.0),
        ("3.15", "3.14", 0.0),
        ("2016", "2015", 0.0),
        ("1,299.50 EUR", "€1299.5", 1.0),
        ("0.001", "0", 1.0),
        ("4.6", "5", 1.0),
        ("4.5", "5", 0.0),
        ("5.5", "5", 0.0),
        ("1e3", "1000", 1.0),
        ("1400", "1e3", 0.0),
        ("-$5", "-5", 1.0),
        ("$5", "-$5", 0.0),
        ("(5)", "-5", 1.0),
        ("–5", "-5", 1.0),
        ("11.2.2024", "1.12.2024", None),
        ("I do not know", "42", 0.0),
        ("42", "forty-two", None),
        ("2015-07-29", "2015-07-29", None),
    ],
)
def test_numbers_match_to_the_digits_that_are_expected(
    answer: str, expected: str, right: float | None
) -> None:
    assert numeric_match(answer, expected) == right


def test_the_answer_is_contained_where_its_words_follow_each_other() -> None:
    assert contains_answer("It is Widely  available, since 2015.", "widely available") == 1.0
    assert contains_answer("It is widely, if not freely, available.", "widely available") == 0.0
    assert contains_answer("The category is positively", "positive") == 0.0
    assert contains_answer(PRICE, PRICE) is None
    assert contains_answer("anything", "...") is None


def test_nesting_as_deep_as_a_model_cares_to_write_is_an_answer_like_any_other() -> None:
    for depth in (800, 100_000):
        deep = "[" * depth + "]" * depth
        for metric in (exact_match, json_field_accuracy, json_validity):
            assert metric(deep, PRICE) in (0.0, 1.0)
    assert exact_match("[" * 800 + "]" * 800, "[" * 800 + "]" * 800) == 1.0


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
)
keys = st.text(max_size=4)
values = st.recursive(
    scalars | keys,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
documents = st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)


@given(documents, documents)
def test_only_the_same_document_matches(one: object, other: object) -> None:
    answer, expected = json.dumps(one, indent=2), json.dumps(other)
    assert exact_match(answer, json.dumps(one, sort_keys=True)) == 1.0
    exact, fields = exact_match(answer, expected), json_field_accuracy(answer, expected)
    assert fields is not None
    assert (exact == 1.0) == (fields == 1.0)
    assert 0.0 <= fields <= 1.0
    if one != other:
        assert exact == 0.0
