"""Which rows ask the same, and how far the answers given to them agree.

Used by the check that names contradictions, and for the best score that a verdict expects of anybody.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import comb
from statistics import fmean
from typing import Any

import numpy as np

from tunewise.data.strict_json import read_object
from tunewise.records import Example

_GROUPED_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])")
_DECIMALS = re.compile(r"(\d)(\.\d*?)0+(?!\d)")
_STOPS = " .!?。"

Group = Sequence[Example]


@dataclass(frozen=True, slots=True)
class RepeatedInputs:
    """Inputs that occur more than once: what they tell of how far answers can be trusted."""

    inputs: int
    """How many there are."""
    disagreement: float
    """Of the pairs of rows that share an input, those whose answers differ; the mean over inputs, 0..1."""


def find_repeated_inputs(examples: Sequence[Example]) -> RepeatedInputs:
    """Of all rows, exact duplicates among them. An input that occurs often counts no more than another."""
    shares = [_disagreement(rows) for rows in group_same_inputs(examples)]
    return RepeatedInputs(len(shares), fmean(shares) if shares else 0.0)


def _disagreement(rows: Group) -> float:
    counts = Counter(canonical_answer(example.answer) for example in rows)
    return 1 - sum(comb(count, 2) for count in counts.values()) / comb(len(rows), 2)


def group_same_inputs(examples: Sequence[Example]) -> list[Group]:
    """Rows that share an input, where there are several; in file order.

    An input is the instruction, the functions and all turns before the answer, up to case, spacing and
    closing punctuation. That within counts, unlike in `duplicates.input_key`: 1.50 and 150 are two questions.
    """
    # Hashes first: the inputs of all rows at once would not fit into memory.
    hashes = np.fromiter((hash(input_of(example)) for example in examples), np.int64, len(examples))
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    same = ordered[1:] == ordered[:-1]
    shared = np.zeros(len(examples), bool)
    shared[order[1:][same]] = True
    shared[order[:-1][same]] = True
    groups: dict[tuple[object, ...], list[Example]] = {}
    for index in np.flatnonzero(shared).tolist():
        groups.setdefault(input_of(examples[index]), []).append(examples[index])
    return [rows for rows in groups.values() if len(rows) > 1]


def canonical_answer(answer: str) -> str:
    """What is left of an answer without spacing, case, closing punctuation, key order and number spelling."""
    if answer.lstrip().startswith(("{", "[")):
        with suppress(RecursionError):  # Nested so deeply, it is compared as text.
            if (value := read_object(answer)) is not None:
                return json.dumps(_canonical_json(value), sort_keys=True)
    return _fold_value(answer)


def input_of(example: Example) -> tuple[object, ...]:
    """What rows of one input have in common, to be compared: see `group_same_inputs`."""
    turns = tuple((m.role, _fold(m.content), m.tool_calls) for m in example.prompt)
    return (turns, example.tools) if example.tools else (turns,)


def _fold(text: str) -> str:
    return " ".join(text.split()).rstrip(_STOPS).casefold()


def _fold_value(text: str) -> str:
    ungrouped = _GROUPED_NUMBER.sub(lambda match: match[0].replace(",", ""), _fold(text))
    return _DECIMALS.sub(lambda match: match[1] + match[2].rstrip("."), ungrouped)


def _canonical_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_fold(key): _canonical_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical_json(inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _fold_value(str(value))
