"""Small edits are found; how the rows of a file always vary is not taken for one."""

import random

import pytest

from tunewise.data.duplicates import example_id
from tunewise.data.near_duplicates import find_near_duplicates
from tunewise.records import Example, Message

SENTENCES = [
    "cat sat on an old mat",
    "rain falls over northern hills tonight",
    "order never arrived last week",
    "subscription ends before next spring",
    "song won three prizes abroad",
    "trains leave early from platform nine",
    "bread smells better than coffee",
    "garden needs water every evening",
]


def row(text, answer="yes"):
    messages = (Message("user", text), Message("assistant", answer))
    return Example(example_id(messages), messages, 1, text)


def others(number=200):
    """Rows that have little in common with anything."""
    dice = random.Random(0)
    return [row(" ".join(f"w{dice.randrange(5000)}" for _ in range(9))) for _ in range(number)]


def found(*rows):
    return {(pair.first, pair.second) for pair in find_near_duplicates([*rows, *others()])}


@pytest.mark.parametrize(
    "edited",
    [
        "My order never arrived last WEEK!",
        "my order never arived last week",
        "my order never arrived last month",
        "my order never arrived week",
        "my order order never arrived last week",
        "my never order arrived last week",
        "last week my order never arrived",
    ],
)
def test_a_small_edit_is_found(edited):
    assert (0, 1) in found(row("my order never arrived last week"), row(edited))


def test_another_answer_or_another_sentence_is_none():
    first = row("my order never arrived last week")
    assert not found(first, row("my order never arrived last month", "no"))
    assert not found(first, row("my train always arrived first thing"))
    assert not found(row("good"), row("bad"))


def test_several_words_of_a_long_row_may_differ():
    text = [f"word{number}" for number in range(60)]
    edited = text.copy()
    edited[10], edited[30], edited[50] = "here", "there", "elsewhere"
    assert found(row(" ".join(text)), row(" ".join(edited))) == {(0, 1)}
    edited[::3] = ["other"] * 20
    assert not found(row(" ".join(text)), row(" ".join(edited)))


def test_a_place_where_rows_differ_again_and_again_is_a_slot():
    rows = [row(f"{way} of travel: {sentence}") for sentence in SENTENCES for way in ("end", "start")]
    assert not found(*rows)
    assert found(*rows, row("start of travel: trains leave erly from platform nine")) == {(11, 16)}


def test_the_same_edit_in_many_places_is_no_slot():
    rows = [row(sentence + added) for sentence in SENTENCES for added in ("", ", please")]
    assert found(*rows) == {(number, number + 1) for number in range(0, len(rows), 2)}


def test_rows_may_differ_in_a_symbol_but_not_where_many_do():
    assert found(row("seven pieces for 20 €"), row("seven pieces for $ 20")) == {(0, 1)}
    assert not found(*[row(f"{sentence}: x {sign} 5") for sentence in SENTENCES for sign in "<>"])


def test_what_stands_in_most_rows_makes_no_two_alike():
    rows = [row(f"which version was the first to support {a}{b}") for a in "abcdefghij" for b in "klmnopqrst"]
    assert not {(a, b) for a, b in found(*rows) if b < len(rows)}


def test_every_row_of_a_crowd_is_named():
    rows = [row("my order never arrived last week" + "!" * number) for number in range(30)]
    assert {position for pair in found(*rows) for position in pair} == set(range(30))


def test_no_rows_and_rows_without_words_have_none():
    assert find_near_duplicates([]) == []
    assert find_near_duplicates([row("?"), row("!")]) == []
