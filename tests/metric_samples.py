"""Examples whose answers are labels, JSON, numbers and texts."""

from __future__ import annotations

from collections.abc import Iterable

from tunewise.records import Example, Message

PRICE = '{"amount": 2000, "currency": "zł"}'


def example(question: str, answer: str, instruction: str | None = None) -> Example:
    opening = [] if instruction is None else [Message("system", instruction)]
    messages = (*opening, Message("user", question), Message("assistant", answer))
    return Example(f"{question} {answer}", messages, 1, question)


def asked(answers: Iterable[str], instruction: str | None = None) -> list[Example]:
    """One example for each answer, on lines 1, 2, ..."""
    return [
        Example(f"e{line}", example(f"question {line}", answer, instruction).messages, line, f"g{line}")
        for line, answer in enumerate(answers, start=1)
    ]


LABELLED = asked(["positive", "negative", "neutral"] * 10)
PRICED = asked(f'{{"amount": {n}, "currency": "EUR"}}' for n in range(30))
COUNTED = asked(f"{n}.50" for n in range(30))
NAMED = asked(
    f"{first} {second}" for first in ("Ada", "Alan", "Kurt", "Emmy", "Paul") for second in ("B.", "Cox")
)
TOLD = asked(f"Item {n} was sent to the shop on the corner, where it can be picked up." for n in range(30))
