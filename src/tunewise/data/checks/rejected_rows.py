"""Rows that are no conversation. They are found while the file is read; these checks report them."""

from __future__ import annotations

from collections.abc import Iterator

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity


class RejectedRows:
    """Rows that were rejected for one reason."""

    severity: Severity = "error"
    cost: Cost = "cheap"

    def __init__(self, code: str, finds: str, why: str) -> None:
        self.code = code
        self.finds = finds
        self.why = why

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """The first one in full; the others most often have the same cause."""
        rejected = [row for row in data.rejected if row.code == self.code]
        if rejected:
            first = rejected[0]
            lines = tuple(row.line for row in rejected)
            yield Problem(self.code, self.severity, lines, f"line {first.line}: {first.reason}")


REJECTED_ROWS = (
    RejectedRows(
        "malformed",
        "a row that cannot be read as a conversation",
        "It cannot be trained on, and training refuses a file with rows that it would have to skip.",
    ),
    RejectedRows(
        "roles",
        "unknown roles, or turns in an order that is no conversation",
        "A chat template lays out user and assistant in turn, with the answer last; nothing else is learned.",
    ),
    RejectedRows(
        "empty-turn",
        "a turn without any text",
        "An empty answer teaches a model to say nothing, an empty question to answer whatever comes.",
    ),
)
