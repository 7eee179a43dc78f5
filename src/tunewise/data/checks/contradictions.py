"""One input with several answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.strict_json import read_object
from tunewise.records import Example

MAX_GROUPS_NAMED = 3
FREE_TEXT_WORDS = 20
"""Two longer answers may both be good; of two shorter ones, or two that are JSON, one is wrong."""
UNSOUND_SHARE = 0.1
"""Of rows that contradict another, from which on little of what is trained or measured means anything."""

_GROUPED_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])")
_DECIMALS = re.compile(r"(\d)(\.\d*?)0+(?!\d)")
_STOPS = " .!?。"

Group = Sequence[Example]


class Contradictions:
    """The same question under the same instruction, answered in different ways."""

    code = "contradiction"
    severity: Severity = "error"
    cost: Cost = "cheap"
    finds = "one input with several answers"
    why = "No model can learn both, and each counts as wrong where the other was expected."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Real contradictions, then texts that vary freely, then the same answer in other writing."""
        real: list[Group] = []
        varied: list[Group] = []
        respelled: list[Group] = []
        for rows in group_same_inputs(data.examples):
            answers = {example.answer for example in rows}
            if len(answers) == 1:
                continue
            if len({canonical_answer(answer) for answer in answers}) == 1:
                # An answer that repeats the input's own spelling is right to differ.
                if len({example.prompt for example in rows}) == 1:
                    respelled.append(rows)
            elif all(_is_free_text(answer) for answer in answers):
                varied.append(rows)
            else:
                real.append(rows)
        unsound = sum(map(len, real)) > UNSOUND_SHARE * len(data.examples)
        yield from self._name(
            "error" if unsound else "warning",
            real,
            "{lines} give different answers to one input: decide which is right, and drop the others",
        )
        yield from self._name(
            "note", varied, "{lines} answer one input with different texts, which is fine where all are good"
        )
        yield from self._name(
            "note", respelled, "{lines} write the same answer to one input in different ways: choose one"
        )

    def _name(self, severity: Severity, groups: Sequence[Group], message: str) -> Iterator[Problem]:
        if not groups:
            return
        named = "; lines ".join(_list_lines(rows) for rows in groups[:MAX_GROUPS_NAMED])
        more = f" ({len(groups) - MAX_GROUPS_NAMED} more inputs)" if len(groups) > MAX_GROUPS_NAMED else ""
        lines = sorted(example.line for rows in groups for example in rows)
        answers = dict.fromkeys(example.answer for example in groups[0])
        yield Problem(
            self.code,
            severity,
            tuple(lines),
            message.format(lines=f"lines {named}{more}"),
            f"{groups[0][0].messages[-2].content} → {' | '.join(answers)}",
        )


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


def _is_free_text(answer: str) -> bool:
    return len(answer.split()) > FREE_TEXT_WORDS and not answer.lstrip().startswith(("{", "["))


def _list_lines(rows: Group) -> str:
    lines = [str(example.line) for example in rows[:4]]
    if len(rows) > len(lines):
        return f"{', '.join(lines)} and {len(rows) - len(lines)} more"
    return f"{', '.join(lines[:-1])} and {lines[-1]}"
