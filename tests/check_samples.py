"""Rows to plant defects in, and what a check says of them."""

from __future__ import annotations

from pathlib import Path

from tunewise.data.checks.base import Check, CheckedData, Problem
from tunewise.data.duplicates import example_id
from tunewise.data.sources import scan_examples
from tunewise.records import Example, Message

PRICES = Path(__file__).parent.parent / "examples" / "prices.jsonl"
INSTRUCTION = "Answer the customer in one or two friendly sentences."
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_GOODS = ("kettle", "lamp", "chair", "carpet", "mirror", "clock", "table", "shelf")


def support_rows(count: int = 40) -> list[tuple[str, str]]:
    """Clean questions and answers in English prose, all different."""
    rows = []
    for number in range(count):
        goods, day = _GOODS[number % len(_GOODS)], _DAYS[number % len(_DAYS)]
        asked = f"I ordered a {goods} with the number {1000 + number}, when will it be here?"
        answer = (
            f"Thank you for your order. Your {goods} will be with you on {day}, and we wish you joy with it."
        )
        rows.append((asked, answer))
    return rows


def label_rows(counts: dict[str, int]) -> list[tuple[str, str]]:
    """Messages that are told apart."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return [(f"message number {number}", label) for number, label in enumerate(labels)]


def data_of(rows: list[tuple[str, str]], instructions: list[str | None] | None = None) -> CheckedData:
    """Row i stands on line i + 1."""
    systems = instructions or [INSTRUCTION] * len(rows)
    examples = []
    for line, ((asked, answer), system) in enumerate(zip(rows, systems, strict=True), start=1):
        opening = () if system is None else (Message("system", system),)
        messages = (*opening, Message("user", asked), Message("assistant", answer))
        examples.append(Example(example_id(messages), messages, line, str(line)))
    return CheckedData(Path("data.jsonl"), examples)


def real_data() -> CheckedData:
    """The examples that come with the project, which nobody cleaned."""
    scan = scan_examples(PRICES)
    return CheckedData(PRICES, scan.examples, scan.rejected)


def find(check: Check, data: CheckedData) -> Problem | None:
    """The one problem that a check finds, if any."""
    problems = list(check.find(data))
    assert len(problems) <= 1
    return problems[0] if problems else None


def lines_with(check: Check, rows: list[tuple[str, str]]) -> tuple[int, ...]:
    """Where a check finds something."""
    problem = find(check, data_of(rows))
    return problem.lines if problem else ()
