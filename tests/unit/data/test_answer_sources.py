"""What answers say is told apart by where it can be learned from."""

import pytest

from tunewise.data.answer_sources import find_answer_sources
from tunewise.data.duplicates import input_key
from tunewise.records import Example, Message

CITIES = ["Oslo", "Lima", "Bern", "Doha", "Riga", "Kiev", "Rome", "Bonn", "Graz", "Nice"]
PLANETS = [f"planet{chr(97 + n // 10)}{chr(97 + n % 10)}" for n in range(100)]
YEARS = [str(1500 + 37 * n % 100) for n in range(100)]


def test_what_the_prompt_says_comes_from_the_prompt():
    found = sources(
        [(f"send {n * 7.5} EUR to {CITIES[n % 10]}", f'{{"amount": {n * 7.5}}}') for n in range(50)]
    )
    assert (found.prompt, found.not_in_data, found.examined) == (1, 0, 50)


def test_numbers_are_found_however_they_are_written():
    assert sources([("it cost 1,234.50 in all", "1234.5")]).prompt == 1


@pytest.mark.parametrize("num_labels", [2, 10, 50])
def test_labels_come_from_other_answers(num_labels):
    rows = [
        (f"a remark {n} about topic{n % num_labels}", f"class{chr(97 + n % num_labels)}x")
        for n in range(1000)
    ]
    assert sources(rows).other_answers == pytest.approx(1)


def test_facts_stand_nowhere_unless_a_document_about_the_same_thing_holds_them():
    rows = [(f"When was {planet} seen first?", year) for planet, year in zip(PLANETS, YEARS, strict=True)]
    documents = [f"{planet} was first seen in {year}." for planet, year in zip(PLANETS, YEARS, strict=True)]
    others = [f"{planet} was first seen in {year}." for planet, year in zip(PLANETS, YEARS[1:], strict=False)]

    assert sources(rows).nowhere == 1
    assert sources(rows, documents).documents == 1
    assert sources(rows, others).documents == 0


def test_copies_of_a_question_do_not_foretell_its_answer():
    rows = [(f"When was {planet} seen first?", year) for planet, year in zip(PLANETS, YEARS, strict=True)]
    assert sources(rows * 20).nowhere == 1


def test_rare_content_counts_more_than_what_all_answers_say():
    rows = [(f"When was {planet} seen?", f"in {year}") for planet, year in zip(PLANETS, YEARS, strict=True)]
    assert sources(rows).nowhere > 0.95


def test_of_sentences_only_numbers_and_names_count_and_long_texts_not_at_all():
    sentence = "The first of them was seen by Galileo from his garden in 1610."
    rows = [(f"who saw {planet}?", sentence) for planet in PLANETS[:3]] + [("tell", "A long story. " * 30)]
    found = sources(rows)
    assert (found.examined, found.rows) == (3, 4)
    assert find_answer_sources([example("tell", "A long story. " * 30)]) is None


def sources(rows, documents=()):
    found = find_answer_sources([example(*row) for row in rows], documents)
    assert found.prompt + found.other_answers + found.documents + found.nowhere == pytest.approx(1)
    return found


def example(question, answer):
    messages = (Message("user", question), Message("assistant", answer))
    return Example("0" * 16, messages, 1, input_key(messages[:-1]))
