"""Rows that are far longer or shorter than the others, or longer than what is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.passages import shorten, texts_of
from tunewise.errors import ModelUnavailableError
from tunewise.records import Example

# In robust standard deviations of the log length: lengths are nearly log-normal, where less than one row in a
# million lies this far out.
MAX_DEVIATIONS = 5.0
# Not within this factor of the median, however alike all others are.
MIN_FACTOR = 8.0
# A robust standard deviation is this many median absolute deviations (of a normal distribution).
_MAD_TO_DEVIATION = 1.4826
# Lengths cannot be judged by fewer.
MIN_ROWS = 20
# What a chat template adds to a turn, and a default system message to a row, at most.
TEMPLATE_TOKENS_PER_TURN = 32


class LengthOutliers:
    """Inputs and answers of a length that no other has."""

    code = "length-outlier"
    severity: Severity = "note"
    cost: Cost = "cheap"
    finds = (
        f"inputs or answers {MIN_FACTOR:g} times as long or short as the median, and more than "
        f"{MAX_DEVIATIONS:g} robust standard deviations of the log length away from it"
    )
    why = "They are often pasted documents or stubs, and a long one takes the training of many others."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Over the last input and the answer of every row, each among its like."""
        if len(data.examples) < MIN_ROWS:
            return
        answers = [len(example.answer) for example in data.examples]
        inputs = [len(example.messages[-2].content) for example in data.examples]
        by_answer, by_input = _outliers(answers), _outliers(inputs)
        rows = sorted(by_answer | by_input)
        if not rows:
            return
        first = rows[0]
        example = data.examples[first]
        of_answer = first in by_answer
        lengths = answers if of_answer else inputs
        yield Problem(
            self.code,
            self.severity,
            tuple(data.examples[row].line for row in rows),
            f"line {example.line} has an {'answer' if of_answer else 'input'} of {lengths[first]} "
            f"characters, where half have up to {int(np.median(lengths))}: see whether it belongs here",
            shorten(example.answer if of_answer else example.messages[-2].content),
        )


class TooLong:
    """Rows that training refuses, by the model's own tokens."""

    code = "too-long"
    severity: Severity = "error"
    cost: Cost = "cheap"
    finds = "conversations with more tokens than are trained on"
    why = "They would have to be cut, and a model that learns from a cut answer learns to stop early."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Tokens are only counted, and the tokenizer only loaded, where a row might be too long at all."""
        long = [example for example in data.examples if _most_tokens(example) > data.max_tokens]
        if not long:
            return
        reason = "no model is given to count with"
        counts: Sequence[int] | None = None
        if data.count_tokens is not None:
            try:
                counts = data.count_tokens(long)
            except ModelUnavailableError as error:
                reason = str(error)
        if counts is None:
            yield Problem(
                self.code,
                "note",
                (),
                f"not looked for, though {len(long)} rows are long enough that they may be: {reason}",
            )
            return
        too_long = [pair for pair in zip(long, counts, strict=True) if pair[1] > data.max_tokens]
        if too_long:
            example, count = too_long[0]
            yield Problem(
                self.code,
                self.severity,
                tuple(row.line for row, _ in too_long),
                f"line {example.line} has {count} tokens, more than the {data.max_tokens} that are trained "
                "on: shorten or remove it",
                shorten(example.answer),
            )


def _outliers(lengths: Sequence[int]) -> set[int]:
    """Their places in `lengths`."""
    logs = np.log1p(np.asarray(lengths, dtype=np.float64))
    distances = np.abs(logs - np.median(logs))
    deviation = _MAD_TO_DEVIATION * float(np.median(distances))
    limit = max(MAX_DEVIATIONS * deviation, float(np.log(MIN_FACTOR)))
    return set(np.flatnonzero(distances > limit).tolist())


def _most_tokens(example: Example) -> int:
    """A bound from above: every token stands for at least one byte of UTF-8."""
    turns = len(example.messages)
    num_bytes = sum(map(_num_bytes, texts_of(example)))
    for tool in example.tools:
        num_bytes += sum(map(_num_bytes, (tool.parameters, tool.description or "", tool.name)))
        turns += 1
    return num_bytes + TEMPLATE_TOKENS_PER_TURN * (turns + 1)


def _num_bytes(text: str) -> int:
    """Of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
