"""Answers of another form than the others have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.forms import AnswerForm
from tunewise.data.instructed_forms import infer_forms
from tunewise.records import Example

MAX_REMEMBERED = 10_000
"""Answers, as many files repeat theirs."""
MAX_REASONS = 8
"""Which are told apart, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """An answer that has another form than the others to its instruction."""

    example: Example
    reason: str
    form: AnswerForm


class FormatDrift:
    """Answers whose form is not that of at least four fifths of them."""

    code = "format-drift"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = (
        "an answer of another form than nearly all others: text among JSON, a missing key, a label respelled"
    )
    why = "The model learns to answer in that form as often as it saw it, and what reads the answers breaks."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """One problem for each way in which answers deviate."""
        answers = [example for example in data.examples if not example.messages[-1].tool_calls]
        deviations = find_deviations(answers)
        by_reason: dict[str, list[Deviation]] = {}
        counts = Counter(deviation.reason for deviation in deviations)
        told_apart = {reason for reason, _ in counts.most_common(MAX_REASONS)}
        for each in deviations:
            by_reason.setdefault(each.reason if each.reason in told_apart else "", []).append(each)
        regular = f"{len(answers) - len(deviations):,} of {len(answers):,} answers"
        for reason, group in by_reason.items():
            first = group[0]
            yield Problem(
                self.code,
                self.severity,
                tuple(each.example.line for each in group),
                f"line {first.example.line} {reason or first.reason}; {regular} have the usual form: "
                f"{first.form.describe()}. Rewrite what deviates, or drop it",
                first.example.answer,
            )


def find_deviations(examples: Sequence[Example]) -> list[Deviation]:
    """In file order. Each answer is held to the form of the answers to its instruction."""
    forms = infer_forms(examples)

    @lru_cache(MAX_REMEMBERED)
    def deviation(instruction: str | None, answer: str) -> str | None:
        form = forms.form_for(instruction)
        return None if form is None else form.deviation(answer)

    found: list[Deviation] = []
    for example in examples:
        form = forms.form_for(example.instruction)
        if form is not None and (reason := deviation(example.instruction, example.answer)) is not None:
            found.append(Deviation(example, reason, form))
    return sorted(found, key=lambda each: each.example.line)
