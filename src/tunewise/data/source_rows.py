"""Rows as they stand in the user's file, with all that is in them, for whoever writes them out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.data.formats.data_file import DataFile
from tunewise.data.formats.jsonl import JSON_SPACE, JsonLines
from tunewise.data.reading import ChatRows, Reading, open_container
from tunewise.data.row_problems import RowProblem, show


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row; it may still be no conversation, which `parse_conversation` tells."""

    line: int
    fields: dict[str, Any] | None
    """As OpenAI's fine-tuning takes them, and those that mean nothing to it; None where there are none."""
    text: str | None = None
    """The line itself, where the file holds chat JSONL."""
    problem: RowProblem | None = None
    """Why there are no fields."""


def read_source_rows(path: Path, reading: Reading) -> Iterator[SourceRow]:
    """Every row in file order. Raises `DataError` where the file cannot be read."""
    file = DataFile(path, reading.encoding)
    container = open_container(file, reading)
    lines = file.lines() if isinstance(container, JsonLines) else iter(())
    chat_rows = ChatRows(reading)
    for number, row in container.rows(file):
        text = next((line for line_number, line in lines if line_number == number), None)
        text = text.strip(JSON_SPACE) if isinstance(text, str) else None
        if isinstance(row, RowProblem):
            yield SourceRow(number, None, text, row)
        elif not isinstance(row, dict):
            problem = RowProblem(f'{show(row)} where an object with "messages" was expected')
            yield SourceRow(number, None, text, problem)
        else:
            yield _to_chat(SourceRow(number, row, text), chat_rows)


def _to_chat(row: SourceRow, chat_rows: ChatRows) -> SourceRow:
    fields = row.fields or {}
    try:
        chat = chat_rows.convert_whole(fields)
    except RowProblem as problem:
        return SourceRow(row.line, None, None, problem)
    # Only a row that nothing was done to is told by its text.
    return row if chat is fields else SourceRow(row.line, chat)
