"""Examples that are small edits of others."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.duplicates import remove_exact_duplicates
from tunewise.data.near_duplicates import find_near_duplicates

SAMPLE = 200_000
"""Rows that are looked at, at most: about a minute."""


class NearDuplicates:
    """Rows whose input is that of another but for a small edit, with the same answer."""

    code = "near-duplicate"
    severity: Severity = "warning"
    cost: Cost = "costly"
    finds = (
        "an input that is that of another line but for a word, a typing error, case, spacing or punctuation"
    )
    why = "It counts twice in training; the split keeps such rows on one side."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """All lines of such pairs; the message names the first pairs."""
        rows, _ = remove_exact_duplicates(data.examples)
        examined = None
        if len(rows) > SAMPLE:
            rows, examined = random.Random(data.seed).sample(rows, SAMPLE), SAMPLE
        rows.sort(key=lambda row: row.line)
        pairs = find_near_duplicates(rows)
        if not pairs:
            return
        named = [(rows[pair.first].line, rows[pair.second].line, pair.edit) for pair in pairs]
        examples = "; ".join(f"lines {a} and {b}: {edit}" for a, b, edit in sorted(named)[:3])
        lines = tuple(sorted({line for a, b, _ in named for line in (a, b)}))
        yield Problem(
            self.code,
            "warning",
            lines,
            f"{len(lines)} lines are nearly another one ({examples}): keep one of each, or all on purpose",
            rows[min(pairs, key=lambda pair: rows[pair.first].line).first].turns[-1].content,
            examined,
        )
