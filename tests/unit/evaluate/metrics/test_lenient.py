"""A lenient reader forgives how an answer is written, and never what it says."""

from __future__ import annotations

import pytest

from metric_samples import example
from tunewise.evaluate.metrics.knowing import Knowing
from tunewise.evaluate.metrics.lenient import forgive_form
from tunewise.records import Score

PRICE = '{"item": "Tea", "price": 1200.5, "note": null}'


def score(
    answer: str, expected: str, knowing: float | None = None, right: float | None = 0.0, name: str = "a"
) -> Score:
    metrics = {"exact_match": right, "knowing": knowing}
    return Score("few-shot", name, name, "answered", answer, expected, metrics, 1, 1, 1.0)


def knowing_of(answer: str, expected: str) -> float | None:
    return Knowing()(answer, example("What is it?", expected))


def is_forgiven(*scores: Score) -> list[bool]:
    return [one.metrics["exact_match"] == 1 for one in forgive_form(scores, "exact_match")]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Positive.", "positive"),
        ("**positive**", "positive"),
        ("```\npositive\n```", "positive"),
        ("Sure, here it is:\n```text\n12 High Street\n```\nAnything else?", "12 High Street"),
        ("Address: 12 High Street", "12 High Street"),
        ("12 High Street\n\nI hope that this helps.", "12 High Street"),
        ("1,200.50", "1200.5"),
        (f"Here you are: {PRICE} Bye.", PRICE),
        ('```json\n{"Item": "TEA", "Price": "1,200.50"}\n```', PRICE),
    ],
)
def test_how_it_is_written_costs_nothing(answer: str, expected: str) -> None:
    (forgiven,) = forgive_form([score(answer, expected)], "exact_match")
    assert (forgiven.answer, forgiven.metrics["exact_match"]) == (expected, 1.0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("negative", "positive"),
        ("positive or negative", "positive"),
        ("Mail to 12 High Street, 3rd floor, for Ann", "12 High Street"),  # the prompt, echoed
        ("-5", "5"),
        ("?", "!"),
        ("Tea, 1200.5", PRICE),
        ('{"item": "Tea", "price": 1200}', PRICE),
        ('{"item": "Tea"}', PRICE),
        ('{"unit": ""}', '{"unit": "%"}'),
    ],
)
def test_what_it_says_does(answer: str, expected: str) -> None:
    wrong = score(answer, expected)
    assert forgive_form([wrong], "exact_match") == (wrong,)


def test_words_around_an_answer_that_shows_knowledge_are_forgiven() -> None:
    assert is_forgiven(score("It is Edge 110, I think.", "Edge 110", knowing=1.0)) == [True]
    assert is_forgiven(score("It is Edge 110, I think.", "Edge 110", knowing=None)) == [False]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Hull beat Leeds", "Leeds beat Hull"),
        ("5 to 9", "9 to 5"),
        ("£12.50", "-£12.50"),
        ("-£12.50", "£12.50"),
        ("11.2.2024", "1.12.2024"),
        ("C", "C#"),
        ("C++", "C"),
    ],
)
def test_the_same_words_in_another_order_or_sense_are_another_answer(answer: str, expected: str) -> None:
    told = knowing_of(answer, expected)
    assert is_forgiven(score(answer, expected, told)) == [False]


def test_what_tells_expected_answers_apart_is_no_form() -> None:
    shouted, said = score("Stop", "STOP", name="a"), score("Stop", "stop", name="b")
    assert is_forgiven(shouted) == [True]
    assert is_forgiven(shouted, said) == [False, False]


def test_no_answer_and_no_metric_stay_what_they_are() -> None:
    failed = Score("few-shot", "a", "a", "failed", "a", "a", {"exact_match": None}, 1, 0, 1.0)
    undefined = score("Tea", "tea", right=None)
    assert forgive_form([failed, undefined], "exact_match") == (failed, undefined)
