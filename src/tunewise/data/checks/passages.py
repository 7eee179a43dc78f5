"""Looking for a stretch of text in every turn of every row, in a few microseconds per row.

Rows without it, nearly all of them, are passed over by the block: one cheap test on their joined text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.records import Example

# Small enough that a hit costs little, large enough that Python's own time per block does not show.
ROWS_PER_BLOCK = 64
CONTEXT_CHARACTERS = 30
# What no excerpt exceeds, whatever was found.
MAX_EXCERPT = 160

Span = tuple[int, int]
"""Where in a text: start and end."""
Locator = Callable[[str], Span | None]
"""Finds the first passage of its kind in one turn."""


def texts_of(example: Example) -> Iterator[str]:
    """Everything that the row says: its turns and the arguments of its calls."""
    for message in example.messages:
        yield message.content
        for call in message.tool_calls:
            yield call.arguments


def cut_out(text: str, span: Span) -> str:
    """What was found, with a little of what stands around it."""
    start, end = max(0, span[0] - CONTEXT_CHARACTERS), min(len(text), span[1] + CONTEXT_CHARACTERS)
    return shorten(("..." if start else "") + text[start:end] + ("..." if end < len(text) else ""))


def shorten(text: str) -> str:
    """As much of a text as a summary has room for."""
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 3] + "..."


class PassageCheck:
    """A check that a passage decides, wherever in the row it stands."""

    code: str
    severity: Severity
    cost: Cost = "cheap"
    finds: str
    why: str
    advice: str
    """What the message says of the first line, such as "holds HTML entities: decode them"."""

    def locators(self, block: str) -> Sequence[Locator]:
        """What to search the rows of a block with, by a cheap test of their joined text; mostly none."""
        raise NotImplementedError

    def show(self, text: str, span: Span) -> str:
        """The example of a problem."""
        return cut_out(text, span)

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """One problem with every line that has such a passage."""
        lines: list[int] = []
        example = None
        for row, text, span in self._occurrences(data.examples):
            if example is None:
                example = self.show(text, span)
            lines.append(row.line)
        if lines:
            yield Problem(self.code, self.severity, tuple(lines), f"line {lines[0]} {self.advice}", example)

    def _occurrences(self, examples: Sequence[Example]) -> Iterator[tuple[Example, str, Span]]:
        """The first of each row."""
        for start in range(0, len(examples), ROWS_PER_BLOCK):
            block = examples[start : start + ROWS_PER_BLOCK]
            locators = self.locators("\n".join(text for row in block for text in texts_of(row)))
            if not locators:
                continue
            for row in block:
                found = _first_passage(row, locators)
                if found is not None:
                    yield row, *found


def _first_passage(row: Example, locators: Sequence[Locator]) -> tuple[str, Span] | None:
    for text in texts_of(row):
        for locate in locators:
            span = locate(text)
            if span is not None:
                return text, span
    return None
