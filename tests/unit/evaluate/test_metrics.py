"""How answers are read and scored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.evaluate.metrics import METRICS, PRIMARY_METRIC, infer_form, metrics_for, parse_answer

JSON, TEXT = metrics_for("json"), metrics_for("text")
PRICE = '{"amount": 2000, "currency": "zł"}'


def test_the_form_is_json_only_when_every_training_answer_is_an_object_or_array():
    assert infer_form([PRICE, " [1] \n"]) == "json"
    assert infer_form([PRICE, "no price"]) == "text"
    assert infer_form(["1", "true"]) == "text"
    assert infer_form([]) == "text"


def test_the_primary_metric_comes_first():
    assert next(iter(JSON)) == next(iter(TEXT)) == PRIMARY_METRIC == "exact_match"
    assert JSON.keys() == METRICS.keys()


@pytest.mark.parametrize(
    "answer",
    [
        PRICE,
        f"  {PRICE}\n",
        f"```json\n{PRICE}\n```",
        f"```\n{PRICE}```",
        f"The price is {PRICE}, I think.",
        f"Here [as asked]: {PRICE}",
        f"Sure!\n```json\n{PRICE}\n```\nAnything else?",
        '{"currency":"zł","amount":2e3}',
        '{"currency": "z\\u0142", "amount": 2000.0}',
    ],
)
def test_json_is_matched_by_what_it_says(answer):
    assert JSON["exact_match"](answer, PRICE) == 1.0
    assert JSON["json_field_accuracy"](answer, PRICE) == 1.0


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
    ],
)
def test_json_that_says_something_else_does_not_match(answer, expected):
    assert JSON["exact_match"](answer, expected) == 0.0


def test_fields_are_counted_over_what_was_expected_and_what_was_given():
    accuracy = JSON["json_field_accuracy"]
    assert accuracy('{"amount": 2000, "currency": "EUR"}', PRICE) == 0.5
    assert accuracy('{"amount": 2000}', PRICE) == 0.5
    assert accuracy('{"amount": 2000, "currency": "zł", "x": 1, "y": 2}', PRICE) == 0.5
    assert accuracy('{"a": {"b": [1, 2]}, "c": 0}', '{"a": {"b": [1, 3]}}') == pytest.approx(1 / 3)
    assert accuracy("{}", "{}") == 1.0
    assert accuracy("no JSON", PRICE) == 0.0


def test_field_accuracy_is_undefined_where_no_json_was_expected():
    assert JSON["json_field_accuracy"](PRICE, "n/a") is None
    assert TEXT["json_field_accuracy"](PRICE, PRICE) is None


def test_an_expected_answer_that_is_no_json_is_compared_as_text():
    assert JSON["exact_match"](" n/a ", "n/a") == 1.0
    assert JSON["exact_match"](PRICE, "n/a") == 0.0


def test_the_form_is_kept_only_by_the_bare_json():
    form = JSON["form"]
    assert form(f" {PRICE}\n", PRICE) == 1.0
    assert form("[]", PRICE) == 1.0
    for loose in (f"```json\n{PRICE}\n```", f"Price: {PRICE}", "2000", '{"a": NaN}', '{"a": 1, "a": 1}', ""):
        assert form(loose, PRICE) == 0.0
    assert TEXT["form"]("anything", "anything") is None


def test_text_is_matched_but_for_the_white_space_and_fence_around_it():
    match = TEXT["exact_match"]
    assert match(" positive\n", "positive") == 1.0
    assert match("```\npositive\n```", "positive") == 1.0
    assert match("Positive", "positive") == 0.0
    assert match("positive ```x```", "positive") == 0.0
    assert parse_answer("```x``` and ```y```", "text") == "```x``` and ```y```"


def test_nesting_as_deep_as_a_model_cares_to_write_is_an_answer_like_any_other():
    for depth in (800, 100_000):
        deep = "[" * depth + "]" * depth
        for metric in JSON.values():
            assert metric(deep, PRICE) in (0.0, 1.0)
    assert JSON["exact_match"]("[" * 800 + "]" * 800, "[" * 800 + "]" * 800) == 1.0


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
def test_only_the_same_document_matches(one, other):
    answer, expected = json.dumps(one, indent=2), json.dumps(other)
    assert JSON["exact_match"](answer, json.dumps(one, sort_keys=True)) == 1.0
    exact, fields = JSON["exact_match"](answer, expected), JSON["json_field_accuracy"](answer, expected)
    assert (exact == 1.0) == (fields == 1.0)
    assert 0.0 <= fields <= 1.0
    if one != other:
        assert exact == 0.0


@given(st.text(), documents)
def test_no_text_whatever_breaks_a_metric(answer, expected):
    for metric in (*JSON.values(), *TEXT.values()):
        assert (
            metric(answer, json.dumps(expected)) in (None, 0.0, 1.0) or metric is JSON["json_field_accuracy"]
        )
