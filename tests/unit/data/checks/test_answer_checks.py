from __future__ import annotations

import json

import pytest

from check_samples import label_rows, lines_with, real_data, support_rows
from tunewise.data.checks.answers import Boilerplate, EchoesInput, TruncatedAnswers


@pytest.mark.parametrize("check", [EchoesInput(), Boilerplate(), TruncatedAnswers()])
def test_clean_rows_stay_clean(check) -> None:
    assert lines_with(check, support_rows()) == ()
    assert list(check.find(real_data())) == []


def test_an_answer_that_repeats_its_input_is_found() -> None:
    question = "When will my order be here, and from where?"
    rows = [
        ("Hello there", " hello there"),
        (question, question + " It comes on Monday."),
        ("a", "a bit later"),
    ]
    assert lines_with(EchoesInput(), [*support_rows(), *rows]) == (41, 42)


@pytest.mark.parametrize(
    "answer",
    [
        "As an AI language model, I have no opinion.",
        "Well, as an AI I cannot say.",
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot do this.",
        "I cannot assist with that request.",
        "Certainly! Here is the answer: 5",
        "Sure, here's what you asked for: 5",
        "Sorry, but I can't.",
        "It is 5. I hope this helps!",
    ],
)
def test_phrases_of_assistants_are_found(answer: str) -> None:
    assert lines_with(Boilerplate(), [*support_rows(), ("question", answer)]) == (41,)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that your lamp broke.",
        "Sure.",
        "Of course, the lamp is blue.",
        "Certainly not before Monday.",
        "sorry",
        "She cannot help it.",
        "Maya said she works as an air hostess.",
    ],
)
def test_words_that_people_use_as_well_are_none(answer: str) -> None:
    assert lines_with(Boilerplate(), [("question", answer)]) == ()


def test_sentences_that_stop_are_found_where_most_end() -> None:
    cut = [
        ("question", "Thank you for your order. Your kettle will be with you on the"),
        ("question", "Your kettle will be with you on Monday,"),
    ]
    whole = [
        ("question", "Kettle"),
        ("question", "You find all that we know of it under https://shop.example/kettles"),
        ("question", "These are what we have in stock:\n- a kettle with a long spout"),
        ("question", "We wish you a nice day! 🙂"),
    ]
    assert lines_with(TruncatedAnswers(), [*support_rows(), *cut, *whole]) == (41, 42)
    without_stops = [(asked, answer.rstrip(".")) for asked, answer in support_rows()]
    assert lines_with(TruncatedAnswers(), [*without_stops, *cut]) == ()


def test_json_code_and_brackets_that_stay_open_are_found() -> None:
    objects = [(f"question {n}", json.dumps({"name": "a}b", "values": [n, {"n": n}]})) for n in range(30)]
    cut = [
        ("question", answer[:-length]) for (_, answer), length in zip(objects, (1, 2, 3, 4, 12), strict=False)
    ]
    assert lines_with(TruncatedAnswers(), [*objects, *cut]) == (31, 32, 33, 34, 35)
    assert lines_with(
        TruncatedAnswers(), [("code", "```python\nprint(1)\n```"), ("code", "```python\nprint(")]
    ) == (2,)
    queries = [(f"question {n}", f"SELECT MAX(a) FROM b WHERE c IN ({n}, 2)") for n in range(30)]
    smiley = ("question", "no such table :( but [0, 1) is an interval")
    assert lines_with(
        TruncatedAnswers(), [*queries, smiley, ("question", "SELECT a FROM b WHERE c IN (1,")]
    ) == (32,)


def test_the_beginning_of_a_frequent_label_is_cut_and_another_label_is_none() -> None:
    rows = label_rows({"neutral": 40, "positive": 40, "not neutral": 20, "not": 2, "posit": 2})
    assert lines_with(TruncatedAnswers(), rows) == (103, 104)
