"""What a format is: a container, which cuts files into rows, or a shape, which makes rows conversations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tunewise.data.formats.data_file import DataFile

NumberedRow = tuple[int, Any]
"""The line of the file on which a row starts, counted from 1 as an editor does (the row where a file has no
lines), and the row: whatever JSON value stands there, or the `RowProblem` in its place."""


class Container(Protocol):
    """From a file to its rows, whatever they mean."""

    @property
    def name(self) -> str:
        """As `--format` calls it."""

    def recognises(self, file: DataFile) -> bool:
        """Whether the file's content, or where that says nothing its name, is of this kind."""

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """All rows in file order, no two with one number.

        Goes on after a bad row where the next one can be found. Raises `DataError` where there are no rows
        to speak of.
        """


class RowShape(Protocol):
    """From one row to one as OpenAI's fine-tuning takes it, which `parse_conversation` reads."""

    @property
    def name(self) -> str:
        """As `--format` calls it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """What it reads of a row."""

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """Whether the row's fields are of this kind."""

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row's `messages`, `tools` and `parallel_tool_calls`. Raises `RowProblem`."""
