"""Only what cannot both be right is a contradiction."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.data.checks.base import CheckedData
from tunewise.data.checks.contradictions import Contradictions
from tunewise.data.sources import read_examples
from tunewise.records import Example, Message

PRICES = Path(__file__).parents[4] / "examples" / "prices.jsonl"


def test_lines_that_contradict_each_other_are_all_named():
    rows = [row("is it on?", answer, line) for line, answer in enumerate(["yes", "no", "yes"], start=1)]

    (problem,) = find(*rows, *filler(30))

    assert (problem.code, problem.severity, problem.lines) == ("contradiction", "warning", (1, 2, 3))
    assert problem.message.startswith("lines 1, 2 and 3 give different answers to one input")
    assert problem.example == "is it on? → yes | no"


def test_many_contradictions_make_the_data_unsound():
    (problem,) = find(row("a", "yes", 1), row("a", "no", 2), *filler(10))
    assert problem.severity == "error"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": 2}', '{"b": 2,"a":1}'),
        ('{"a": 2000}', '{"a": 2000.0}'),
        ('{"a": "2,000.50"}', '{"a": 2000.5}'),
        ("2,000", "2000"),
        ("Yes.", " yes"),
        ("a  b", "a b"),
    ],
)
def test_other_writing_of_the_same_answer_is_only_noted(one, other):
    (problem,) = find(row("a", one, 1), row("a", other, 2), *filler(30))
    assert (problem.severity, problem.lines) == ("note", (1, 2))
    assert "write the same answer" in problem.message


@pytest.mark.parametrize(
    ("one", "other"),
    [('{"a": 1}', '{"a": 2}'), ('{"a": true}', '{"a": 1}'), ("1.50", "150"), ("good", "bad"), ("-1", "1")],
)
def test_other_values_are_contradictions(one, other):
    (problem,) = find(row("a", one, 1), row("a", other, 2), *filler(30))
    assert problem.severity == "warning"


def test_json_that_is_nested_very_deeply_is_compared_as_text():
    deep = ["[" * depth + "1" + "]" * depth for depth in (900, 901)]
    (problem,) = find(*(row("a", answer, line) for line, answer in enumerate(deep, start=1)), *filler(30))
    assert problem.lines == (1, 2)


def test_long_texts_may_vary():
    texts = [f"{word} " * 30 for word in ("sun", "rain")]
    (problem,) = find(*(row("tell me", text, line) for line, text in enumerate(texts, start=1)), *filler(30))
    assert problem.severity == "note"
    assert "different texts" in problem.message


def test_an_input_is_its_instruction_and_its_exact_numbers_whatever_its_case_and_spacing():
    same = [row("Is it  ON?", "yes", 1), row("is it on", "no", 2)]
    different = [
        row("is it on?", "yes", 3, "Say the opposite."),
        row("price 1.50", "1.5", 4),
        row("price 150", "150", 5),
    ]
    (problem,) = find(*same, *different, *filler(30))
    assert problem.lines == (1, 2)


def test_an_answer_that_repeats_the_inputs_own_spelling_is_right():
    assert find(row("5 EUR", "EUR", 1), row("5 eur", "eur", 2), *filler(30)) == []


def test_the_example_data_hold_one_contradiction():
    (problem,) = find(*read_examples(PRICES))
    assert (problem.severity, problem.lines) == ("warning", (683, 957))


def find(*examples: Example) -> list:
    return list(Contradictions().find(CheckedData(PRICES, examples)))


def filler(count: int) -> list[Example]:
    return [row(f"question {n}", f"answer {n}", 100 + n) for n in range(count)]


def row(question: str, answer: str, line: int, instruction: str = "Answer.") -> Example:
    messages = (Message("system", instruction), Message("user", question), Message("assistant", answer))
    return Example(f"{line:016x}", messages, line, f"{line:016x}")
