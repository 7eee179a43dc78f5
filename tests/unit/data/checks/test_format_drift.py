"""Answers of another form are named by line, with the reason and how many are regular."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tunewise.data.checks.base import CheckedData
from tunewise.data.checks.format_drift import FormatDrift
from tunewise.data.sources import read_examples
from tunewise.records import Example, Message

PRICES = Path(__file__).parents[4] / "examples" / "prices.jsonl"


def test_clean_rows_have_no_drift():
    assert find(read_examples(PRICES)) == []


def test_deviants_are_named_by_line_with_the_reason_and_the_form_of_the_others():
    examples = read_examples(PRICES)
    examples[6] = answered(examples[6], "12 euros")
    examples[40] = answered(examples[40], '{"amount": 3, "unit": "€"}')
    examples[41] = answered(examples[41], '{"amount": 4, "unit": "€"}')

    text, key = find(examples)

    assert (text.code, text.severity, text.lines, text.example) == (
        "format-drift",
        "warning",
        (7,),
        "12 euros",
    )
    assert text.message == (
        "line 7 is text instead of JSON; 1,175 of 1,178 answers have the usual form: JSON objects with "
        "amount (number or null) and currency (text or null). Rewrite what deviates, or drop it"
    )
    assert key.lines == (41, 42)
    assert key.message.startswith("line 41 lacks 'currency'; ")


def test_each_instruction_with_many_rows_has_a_form_of_its_own():
    labels = [row("Judge it.", f"text {n}", ["good", "bad"][n % 2], n) for n in range(1, 301)]
    calls = [row("Call it.", f"text {n}", f'{{"id": {n}}}', n) for n in range(301, 361)]
    drifted = row("Call it.", "text", "call 7", 361)

    (problem,) = find([*labels, *calls, drifted])

    assert problem.lines == (361,)


def test_text_beside_calls_is_no_drift():
    from tunewise.records import ToolCall

    texts = [row("Help.", f"text {n}", f"Answer number {n} in a sentence.", n) for n in range(1, 20)]
    message = Message("assistant", "", tool_calls=(ToolCall("1", "find", "{}"),))
    call = replace(texts[0], messages=(*texts[0].prompt, message), line=20)

    assert find([*texts, call]) == []


def find(examples: Iterable[Example]) -> list:
    return list(FormatDrift().find(CheckedData(PRICES, tuple(examples))))


def answered(example: Example, answer: str) -> Example:
    return replace(example, messages=(*example.prompt, Message("assistant", answer)))


def row(instruction: str, question: str, answer: str, line: int) -> Example:
    messages = (Message("system", instruction), Message("user", question), Message("assistant", answer))
    return Example(f"{line:016x}", messages, line, f"{line:016x}")
