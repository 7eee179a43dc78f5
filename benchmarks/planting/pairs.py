"""Defects that two rows have together: the row that is added to a clean one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from planting.defects import Defect
from planting.rows import Row, answer_of, user_of, with_answer, with_user

MIN_WORDS = 8
"""Of an input that a slip leaves recognisable: of "20 zł" and "30 zł" nobody can tell which is a copy."""
_LITTLE_WORD = re.compile(r"\b(?:the|a|an|of|to|in|is|my|for|and) ")
_WORD = re.compile(r"[A-Za-z]{4,}")


def exact_duplicate(row: Row, rng: Random) -> Row:  # noqa: ARG001 - a defect's shape
    return row


def contradict_with(answers: Sequence[str]) -> Defect:
    """The same input, in maybe other case, with the answer of another row."""

    def contradiction(row: Row, rng: Random) -> Row | None:
        other = rng.choice(answers)
        if other.casefold() == answer_of(row).casefold():
            return None
        asked = user_of(row)
        return with_answer(with_user(row, asked if rng.random() < 0.7 else asked.swapcase()), other)

    return contradiction


def near_duplicate(row: Row, rng: Random) -> Row | None:
    """One slip: a letter lost, two letters swapped, a little word more or less, other case or punctuation."""
    asked = user_of(row)
    words = list(_WORD.finditer(asked))
    if len(asked.split()) < MIN_WORDS or not words:
        return None
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    slips = (
        asked[:at] + asked[at + 1 :],
        asked[:at] + asked[at + 1] + asked[at] + asked[at + 2 :],
        f"{asked[: word.start()]}the {asked[word.start() :]}",
        _LITTLE_WORD.sub("", asked, count=1),
        f"{asked.rstrip('.!?')}, please",
        asked.lower() if asked != asked.lower() else asked.upper(),
    )
    return with_user(row, rng.choice([slip for slip in slips if slip != asked]))


def pair_defects(rows: Sequence[Row]) -> dict[str, Defect]:
    """By code: what makes of a row the one that is added beside it."""
    return {
        "exact-duplicate": exact_duplicate,
        "contradiction": contradict_with([answer_of(row) for row in rows]),
        "near-duplicate": near_duplicate,
    }
