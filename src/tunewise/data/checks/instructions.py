"""System messages that should be one and are several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rapidfuzz import fuzz

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.passages import shorten
from tunewise.data.instructions import NEARLY_ALL
from tunewise.records import Example

# Below half, no message is the file's own: rows with tasks or personas of their own are no drift.
MIN_DOMINANT_SHARE = 0.5
# From 0 to 100; above it a message is the dominant one, reworded.
REWORDED_SIMILARITY = 75
# Each is compared with the dominant one; a file with more has messages made for each row.
MAX_COMPARED = 2000
_SHOWN = 3


class InstructionDrift:
    """Rows whose system message is nearly, but not exactly, that of the others."""

    code = "instruction-drift"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "system messages that deviate from the one that most rows have"
    why = (
        "The tuned model is asked under one instruction; what it learned under another is learned for naught."
    )

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """All that deviate, and the most frequent ones in words."""
        counts = Counter(example.instruction for example in data.examples)
        if len(counts) < 2 or len(counts) > MAX_COMPARED:
            return
        dominant, num_dominant = counts.most_common(1)[0]
        share = num_dominant / len(data.examples)
        if share < MIN_DOMINANT_SHARE:
            return
        drifted = {
            other: count
            for other, count in counts.most_common()
            if other != dominant and (share >= NEARLY_ALL or _is_reworded(other, dominant))
        }
        rows: list[Example] = [example for example in data.examples if example.instruction in drifted]
        if not rows:
            return
        named = "; ".join(f"{_name(other)} ({count})" for other, count in list(drifted.items())[:_SHOWN])
        more = f" and {len(drifted) - _SHOWN} more" if len(drifted) > _SHOWN else ""
        yield Problem(
            self.code,
            self.severity,
            tuple(row.line for row in rows),
            f"{share:.1%} of the rows have {_name(dominant)}, but line {rows[0].line} and others have "
            f"{named}{more}: give all the same one",
            None if rows[0].instruction is None else shorten(rows[0].instruction),
        )


def _is_reworded(other: str | None, dominant: str | None) -> bool:
    """Having none, where others have one or the other way round, is no rewording."""
    if other is None or dominant is None:
        return False
    return fuzz.ratio(other.casefold(), dominant.casefold()) >= REWORDED_SIMILARITY


def _name(instruction: str | None) -> str:
    return "no system message" if instruction is None else repr(shorten(instruction))
