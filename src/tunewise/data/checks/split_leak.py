"""Examples that stand on two sides of a split which the user made."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import combinations

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.near_duplicates import SAMPLE
from tunewise.data.duplicates import key_of
from tunewise.data.near_duplicates import find_near_duplicates
from tunewise.records import Example


class SplitLeak:
    """Inputs that two of the files for training, validation and test share, or nearly share."""

    code = "split-leak"
    severity: Severity = "error"
    cost: Cost = "costly"
    finds = "an input that stands, or nearly stands, in a file set aside for validation or test"
    why = "What was learned by heart would be measured as if it were understood."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Per pair of files: an error for inputs that are the same, a warning for small edits."""
        sides = {"training": data.examples, **data.given_splits}
        for one, other in combinations(sides, 2):
            yield from self._shared(one, sides[one], other, sides[other])
            yield from self._nearly_shared(one, sides[one], other, sides[other], data.seed)

    def _shared(
        self, one: str, rows: Sequence[Example], other: str, held_out: Sequence[Example]
    ) -> Iterator[Problem]:
        lines = {key_of(row): row.line for row in reversed(held_out)}
        shared = [(row.line, lines[key]) for row in rows if (key := key_of(row)) in lines]
        if shared:
            yield Problem(
                self.code,
                "error",
                tuple(line for line, _ in shared),
                f"the inputs of {len(shared)} {one} lines stand in the {other} file, too "
                f"({_name(one, other, shared)}): remove them from one of the two",
            )

    def _nearly_shared(
        self, one: str, rows: Sequence[Example], other: str, held_out: Sequence[Example], seed: int
    ) -> Iterator[Problem]:
        examined = None
        if len(rows) > SAMPLE:
            rows, examined = random.Random(seed).sample(list(rows), SAMPLE), SAMPLE
        together = [*rows, *held_out]
        pairs = (pair for pair in find_near_duplicates(together) if pair.first < len(rows) <= pair.second)
        near = sorted(
            (together[pair.first].line, together[pair.second].line)
            for pair in pairs
            if key_of(together[pair.first]) != key_of(together[pair.second])
        )
        if near:
            lines = tuple(sorted({line for line, _ in near}))
            yield Problem(
                self.code,
                "warning",
                lines,
                f"{len(lines)} {one} lines are nearly lines of the {other} file ({_name(one, other, near)}): "
                "remove them from one of the two, or let the split be made here",
                examined=examined,
            )


def _name(one: str, other: str, pairs: Sequence[tuple[int, int]]) -> str:
    return "; ".join(f"{one} line {a} and {other} line {b}" for a, b in pairs[:3])
