"""A form is what four fifths of the answers have in common, however the others deviate."""

import json
import random
from pathlib import Path

import jsonschema
import pytest

from tunewise.data.forms import MIN_ANSWERS, infer_answer_form
from tunewise.data.sources import read_examples

PRICES = Path(__file__).parents[3] / "examples" / "prices.jsonl"

PRICE_ANSWERS = [json.dumps({"amount": n, "currency": "€£$"[n % 3]}, ensure_ascii=False) for n in range(100)]
LABELS = ["positive", "negative", "neutral", "positive"] * 25
DATES = [f"20{n % 30:02}-{n % 12 + 1:02}-{n % 28 + 1:02}" for n in range(100)]
AMOUNTS = [f"£{n * 37:,}.{n:02}" for n in range(100)]
CALLS = [json.dumps({"intent": f"Turn{n % 4}", f"slot{n % 7}": n, f"extra{n % 3}": "x"}) for n in range(100)]
NAMES = [
    f"{first} {last}" for first in ("Ana", "Bo", "Cy", "Di") for last in ("Li", "McCoy", "de Wit", "O'Hara")
] * 6
ESSAYS = ["\n\n".join(["Some words of a longer answer, with a point."] * (n % 5 + 1)) for n in range(100)]


@pytest.mark.parametrize(
    ("answers", "description"),
    [
        (PRICE_ANSWERS, "JSON objects with amount (number) and currency (one of €, £, $)"),
        (LABELS, "labels (positive, negative, neutral)"),
        (DATES, "short answers like 2000-01-01"),
        (CALLS, "JSON objects with intent (one of Turn0, Turn1, Turn2, Turn3), "),
        (NAMES, "texts of 2 to 3 words"),
        (ESSAYS, "texts of 9 to 45 words"),
        (['{"when": {"day": "2024-01-31"}, "tags": ["a"]}'] * 20,
         "JSON objects with when (object with day (date as 9999-99-99)) and tags (list of text)"),
    ],
)  # fmt: skip
def test_a_form_is_told_in_one_phrase_and_no_answer_of_it_deviates(answers, description):
    form = infer_answer_form(answers)
    assert form.describe().startswith(description)
    assert [form.deviation(answer) for answer in answers] == [None] * len(answers)


@pytest.mark.parametrize(
    ("answers", "deviant", "reason"),
    [
        (PRICE_ANSWERS, "12 euros", "is text instead of JSON"),
        (PRICE_ANSWERS, '```json\n{"amount": 1, "currency": "€"}\n```', "wraps its JSON in a code fence"),
        (PRICE_ANSWERS, 'Sure: {"amount": 1, "currency": "€"}', "has text around its JSON"),
        (PRICE_ANSWERS, '{"amount": 1, "currency": "€"', "is broken JSON"),
        (PRICE_ANSWERS, '{"price": 1, "unit": "€"}', "lacks 'amount'"),
        (PRICE_ANSWERS, '{"Amount": 1, "currency": "€"}', "has the key 'Amount' where the others"),
        (PRICE_ANSWERS, '{"amount": "1", "currency": "€"}', "has text in 'amount' where the others"),
        (PRICE_ANSWERS, '[{"amount": 1, "currency": "€"}]', "has a list where the others have an object"),
        (CALLS, '{"action": "x"}', "lacks 'intent'"),
        (LABELS, "Positive.", "spells the label 'positive' otherwise"),
        (LABELS, "I think that it is positive", "is a sentence"),
        (LABELS, '{"label": "positive"}', "is JSON"),
        (DATES, "31/01/2024", "is not written like the others ("),
        (DATES, "31 January 2024", "is not written like the others ("),
        (AMOUNTS, "12.50", "is not written like the others (£"),
        (NAMES, '{"name": "Ana Li"}', "has JSON, which the others have not"),
        (NAMES, "The name of the person that the text is about " * 2, "is longer than 15 words"),
        (ESSAYS, '{"text": "Some words"}', "has JSON, which the others have not"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_what_deviates_is_told_in_words_whether_it_is_rare_or_a_fifth(answers, deviant, reason, share):
    assert deviation_beside(answers, deviant, share).startswith(reason)


@pytest.mark.parametrize(
    ("answers", "deviant", "reason"),
    [
        (PRICE_ANSWERS, '{"amount": 1}', "lacks 'currency'"),
        (PRICE_ANSWERS, '{"amount": 1, "currency": "€", "note": ""}', "has the key 'note', which"),
        (CALLS, '{"intent": "turn1"}', "spells 'Turn1' in 'intent' otherwise"),
        (NAMES, "Ana Li.", "has a full stop at the end, which the others have not"),
    ],
)  # fmt: skip
def test_what_may_well_be_meant_deviates_only_where_it_is_rare(answers, deviant, reason):
    assert deviation_beside(answers, deviant, 0.01).startswith(reason)


def deviation_beside(answers: list[str], deviant: str, share: float) -> str:
    """What is wrong with an answer that this share of all has, where nothing is wrong with the others."""
    mixed = answers + [deviant] * int(len(answers) * share / (1 - share) + 0.5)
    form = infer_answer_form(random.Random(0).sample(mixed, len(mixed)))
    assert not any(form.deviation(answer) for answer in answers)
    return form.deviation(deviant) or ""


def test_the_example_data_has_one_form_and_no_deviation():
    answers = [example.answer for example in read_examples(PRICES)]
    form = infer_answer_form(answers)
    assert form.describe() == "JSON objects with amount (number or null) and currency (text or null)"
    assert not any(form.deviation(answer) for answer in answers)


def test_a_new_label_is_no_other_form_as_long_as_it_looks_like_a_label():
    assert infer_answer_form(LABELS).deviation("mixed") is None


def test_optional_keys_and_mixed_types_are_part_of_the_form():
    answers = [
        json.dumps({"id": n, **({"note": "x"} if n % 10 == 0 else {}), "size": n if n % 3 else "large"})
        for n in range(100)
    ]
    form = infer_answer_form(answers)
    assert form.describe() == "JSON objects with id (number), size (number or text) and note (text, optional)"
    assert not any(form.deviation(answer) for answer in answers)


def test_a_few_answers_have_no_form():
    assert infer_answer_form(["yes"] * (MIN_ANSWERS - 1)) is None


@pytest.mark.parametrize(
    ("answers", "good", "bad"),
    [
        (['{"n": 1, "s": "a"}', '{"n": 2.5, "s": "b"}'] * 20, '{"n": 7, "s": "c"}', '{"n": "7", "s": "c"}'),
        (['{"n": 1}', '{"n": null}'] * 20, '{"n": null}', '{"n": 1, "m": 2}'),
        (
            ['{"a": {"b": [true]}}', '{"a": {"b": [false, true]}}'] * 20,
            '{"a": {"b": []}}',
            '{"a": {"b": [1]}}',
        ),
        (['[{"k": "on"}]', '[{"k": "off"}, {"k": "on"}]'] * 40, '[{"k": "off"}]', '[{"k": "out"}]'),
    ],
)
def test_the_schema_of_a_json_form_takes_its_answers_and_no_others(answers, good, bad):
    grammar = infer_answer_form(answers).grammar()
    validator = jsonschema.Draft202012Validator(json.loads(grammar.source))
    assert all(validator.is_valid(json.loads(answer)) for answer in [*answers, good])
    assert not validator.is_valid(json.loads(bad))


def test_every_form_can_be_told_to_a_model():
    told = [
        infer_answer_form(answers).instruction()
        for answers in (
            ["yes", "no"] * 20,
            ["12.50", "3.99"] * 20,
            ['{"n": 1}'] * 20,
            [f"A sentence about {n} things that goes on for quite some time, as they do." for n in range(40)],
        )
    ]
    assert all(text.startswith("Answer with") and text.endswith(".") for text in told)
    assert len(set(told)) == len(told)


def test_a_form_is_described_on_one_line_whatever_its_labels_hold():
    assert infer_answer_form(["\nyes", "no"] * 20).describe() == "labels (yes, no)"
