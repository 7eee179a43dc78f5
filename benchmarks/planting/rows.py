"""Rows as they stand in a chat JSONL file, to be read, changed and written."""

from __future__ import annotations

import copy
import html
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz.fuzz import ratio
from rapidfuzz.process import cdist

Row = dict[str, Any]

MIN_SIMILARITY = 85
"""Of two inputs that nearly are one: in percent, twice the characters in common over all of both."""

MAX_TEMPLATE_SHARE = 0.05
"""Of a file's rows: what more of them have in common is where they come from, such as a list of prices."""


def read_clean_rows(path: Path) -> list[Row]:
    """Rows without what real data have by themselves: repeated inputs, HTML entities, space around turns.

    Of rows with one answer, the first is kept of those with nearly one input, by all comparisons, and, where
    that is known, of those made from one template: "pause song" and "pause track" ask for the same, but are
    too short to have most of their letters in common.
    """
    lines = path.read_text("utf-8").rstrip("\n").split("\n")
    templates = read_templates(path) or map(str, range(len(lines)))
    rows: dict[str, Row] = {}
    made: set[tuple[str, str]] = set()
    for line, template in zip(lines, templates, strict=True):
        row = json.loads(line)
        texts = [turn["content"] for turn in row["messages"]]
        asked, origin = " ".join(user_of(row).split()).casefold(), (answer_of(row), template)
        is_new = asked not in rows and origin not in made
        if is_new and all(text == html.unescape(text).strip() for text in texts):
            made.add(origin)
            rows[asked] = row
    by_answer: dict[str, list[tuple[str, Row]]] = {}
    for text, row in rows.items():
        by_answer.setdefault(answer_of(row), []).append((text, row))
    kept = {id(row) for like in by_answer.values() for row in _without_near_copies(like)}
    return [row for row in rows.values() if id(row) in kept]


def read_templates(path: Path) -> list[str]:
    """Which template each line was made from, as `NAME_groups.txt` beside the data says.

    Empty without that file, and where it names sources instead.
    """
    groups = path.with_name(f"{path.stem}_groups.txt")
    names = groups.read_text("utf-8").splitlines() if groups.is_file() else []
    largest = max(Counter(names).values(), default=0)
    return names if largest <= MAX_TEMPLATE_SHARE * len(names) else []


def _without_near_copies(rows: Sequence[tuple[str, Row]]) -> Iterator[Row]:
    texts = [text for text, _ in rows]
    near = cdist(texts, texts, scorer=ratio, score_cutoff=MIN_SIMILARITY) >= MIN_SIMILARITY
    yield from (row for index, (_, row) in enumerate(rows) if not near[index, :index].any())


def user_of(row: Row) -> str:
    return str(row["messages"][-2]["content"])


def answer_of(row: Row) -> str:
    return str(row["messages"][-1]["content"])


def with_user(row: Row, text: str) -> Row:
    return _with_turn(row, -2, text)


def with_answer(row: Row, text: str) -> Row:
    return _with_turn(row, -1, text)


def with_system(row: Row, text: str) -> Row:
    return _with_turn(row, 0, text)


def _with_turn(row: Row, turn: int, text: str) -> Row:
    changed = copy.deepcopy(row)
    changed["messages"][turn]["content"] = text
    return changed


def write_line(row: Row | str) -> str:
    """A row as its line; what is text already is no row any more and stays as it is."""
    return row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
