"""The same conversation more than once."""

from __future__ import annotations

from collections.abc import Iterator

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.duplicates import remove_exact_duplicates


class ExactDuplicates:
    """Rows that repeat an earlier one, word for word."""

    code = "exact-duplicate"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "a conversation that stood on an earlier line already"
    why = "It counts twice in training, and would let a model be tested on what it learned from."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """The later ones; the first of each stays."""
        first = {example.id: example.line for example in reversed(data.examples)}
        _, repeated = remove_exact_duplicates(data.examples)
        if repeated:
            example = repeated[0]
            yield Problem(
                self.code,
                self.severity,
                tuple(row.line for row in repeated),
                f"line {example.line} repeats line {first[example.id]}: --fix keeps the first of each",
                example.answer,
            )
