from __future__ import annotations

import pytest

from metric_samples import LABELLED, PRICED, asked, example
from tunewise.data.instructed_forms import infer_forms
from tunewise.evaluate.metrics.knowing import FormKept, Knowing

CAPITAL = example("What is the capital of Peru?", "Lima")
PRICE = example("What does it cost?", '{"amount": 2000, "currency": "EUR", "sold": true, "note": null}')


def test_the_right_value_in_the_wrong_form_is_known_and_out_of_form() -> None:
    knowing, form = Knowing(), FormKept(infer_forms(PRICED))
    price = example("What does it cost?", '{"amount": 2000, "currency": "EUR"}')
    sentence, wrong_json = "That will be 2,000.00 EUR.", '{"amount": 17, "currency": "GBP"}'
    assert (knowing(sentence, price), form(sentence, price)) == (1.0, 0.0)
    assert (knowing(wrong_json, price), form(wrong_json, price)) == (0.0, 1.0)


def test_values_of_json_are_looked_for_and_not_its_keys_nor_true_false_and_null() -> None:
    assert Knowing()('{"amount": 2000}', PRICE) == 0.5
    assert Knowing()("amount currency sold note true null", PRICE) == 0.0
    assert Knowing()("anything", example("Sold?", '{"sold": true, "price": null}')) is None


def test_a_short_text_is_known_with_all_its_words_or_not_at_all() -> None:
    edge = example("Which version was the first?", "Edge 110")
    assert Knowing()("It was first supported in Edge, version 110.", edge) == 1.0
    assert Knowing()("It was first supported in Edge, version 12.", edge) == 0.0


def test_of_a_long_text_the_share_that_is_said_counts() -> None:
    long = example("What happened?", "seven grey geese crossed the frozen lake before dawn")
    assert Knowing()("Geese crossed the lake.", long) == pytest.approx(4 / 9)


def test_a_label_is_known_where_it_is_the_only_one_named() -> None:
    knowing = Knowing(("positive", "very positive", "negative"))
    tweet = example("I like it", "positive")
    assert knowing("I would call this one Positive!", tweet) == 1.0
    assert knowing("It is positive or negative.", tweet) == 0.0
    assert knowing("It is very positive.", tweet) == 0.0
    assert knowing("no idea", tweet) == 0.0


def test_what_the_prompt_holds_shows_no_knowledge() -> None:
    assert Knowing()("Lima", CAPITAL) == 1.0
    assert Knowing()("Lima", example("Is it Lima or Quito?", "Lima")) is None
    told = example(
        "Copy this. Nine words of this answer stand here, the tenth: ",
        "nine words of this answer stand here not",
    )
    assert Knowing()("anything", told) is None


def test_an_instruction_that_names_all_labels_gives_none_away() -> None:
    tweet = example("I like it", "positive", "Answer positive or negative.")
    assert Knowing(("positive", "negative"))("positive", tweet) == 1.0
    assert Knowing(("positive", "negative"))("positive or negative", tweet) == 0.0


def test_who_talks_on_and_on_is_not_heard_to_the_end() -> None:
    chatter = "well " * 21
    assert Knowing()(f"{chatter[:50]} Lima", CAPITAL) == 1.0
    assert Knowing()(f"{chatter} Lima", CAPITAL) == 0.0


def test_labels_that_look_alike_in_a_text_are_looked_for_as_text() -> None:
    assert Knowing(("A", "A-"))("a B for effort: A", example("Grade?", "A-")) == 1.0


def test_the_form_is_that_of_the_training_answers() -> None:
    form = FormKept(infer_forms(PRICED))
    for answer in ('{"amount": 5, "currency": "EUR"}', ' {"currency": "EUR", "amount": 5}\n'):
        assert form(answer, PRICED[0]) == 1.0
    for answer in (
        '{"price": 5, "currency": "EUR"}',
        '```json\n{"amount": 5, "currency": "EUR"}\n```',
        "5 EUR",
        "",
    ):
        assert form(answer, PRICED[0]) == 0.0
    labels = FormKept(infer_forms(LABELLED))
    assert [labels(answer, LABELLED[0]) for answer in ("positive", "Positive", "It is positive.")] == [
        1.0,
        0.0,
        0.0,
    ]


def test_a_word_that_is_no_label_has_not_the_form_of_labels() -> None:
    form = FormKept(infer_forms(asked(["spam", "ham"] * 30)))
    assert [form(answer, example("Buy!", "spam")) for answer in ("ham", "banana")] == [1.0, 0.0]
    assert form("spam", example("Buy!", "rare")) is None


def test_each_instruction_has_the_form_of_its_own_answers() -> None:
    rows = [
        *asked(["yes", "no"] * 30, "Is it?"),
        *asked((f'{{"n": {n}}}' for n in range(60)), "How many, as JSON?"),
    ]
    form = FormKept(infer_forms(rows))
    assert (form("yes", rows[0]), form('{"n": 1}', rows[0])) == (1.0, 0.0)
    assert (form("yes", rows[-1]), form('{"n": 1}', rows[-1])) == (0.0, 1.0)


def test_the_form_is_undefined_where_there_is_none_and_where_the_expected_answer_deviates() -> None:
    assert FormKept(infer_forms(PRICED[:3]))("anything", PRICED[0]) is None
    assert FormKept(infer_forms(PRICED))("n/a", example("price?", "n/a")) is None
