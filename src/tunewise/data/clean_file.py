"""A cleaned copy of the user's file, and a log of what is different in it. The file itself stays as it is."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tunewise.data.reading import Reading
from tunewise.data.source_rows import SourceRow, read_source_rows
from tunewise.errors import RequestError
from tunewise.store.files import new_file

_EXCERPT_CHARACTERS = 60
_CONTEXT_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class RowChange:
    """One thing that is different in the copy: a line of the log."""

    line: int
    """Of the user's file."""
    code: str
    """The problem that it mends."""
    where: str
    """`messages[2]`, or `row`."""
    before: str
    """Only as much as shows the difference."""
    after: str | None
    """None where the row was dropped."""


@dataclass(frozen=True, slots=True)
class RevisedRow:
    """What becomes of one row."""

    text: str | None
    """As one line of the copy; None drops it."""
    changes: tuple[RowChange, ...] = ()


@dataclass(frozen=True, slots=True)
class CleanFile:
    """A copy that was written."""

    path: Path
    log: Path
    rows: int
    dropped: Mapping[str, int]
    """Rows that are left out, by the problem that they had."""
    changed: Mapping[str, int]
    """Rows that are different, by the problem that was mended."""

    def describe(self) -> str:
        """One line for the terminal."""
        parts = [f"{number:,} dropped ({code})" for code, number in self.dropped.items()]
        parts += [f"{number:,} mended ({code})" for code, number in self.changed.items()]
        return f"{self.path}: {self.rows:,} rows; {', '.join(parts) or 'nothing had to be changed'}"


def log_of(out: Path) -> Path:
    """Where the changes of a copy are written down."""
    return out.with_name(f"{out.name}.changes.jsonl")


def refuse_to_overwrite(data: Path, out: Path) -> None:
    """Raise `RequestError` where writing to `out` would take something away, the input above all."""
    if data.is_dir() and out.resolve().is_relative_to(data.resolve()):
        raise RequestError(
            f"{out} would be in the folder that is read: give --out another place", param="out"
        )
    for path in (out, log_of(out)):
        try:
            exists = os.path.lexists(path)
            is_data = path.exists() and data.exists() and path.samefile(data)
        except (OSError, ValueError) as error:
            raise RequestError(f"{path}: cannot be written: {error}", param="out") from None
        if is_data:
            raise RequestError(f"{path} is the input itself: give --out another name", param="out")
        if exists:
            raise RequestError(f"{path} exists already: give --out another name, or remove it", param="out")


def write_clean_file(
    data: Path, out: Path, revise: Callable[[SourceRow], RevisedRow], reading: Reading
) -> CleanFile:
    """Write every row of `data`, as `revise` leaves it, to `out`, whole or not at all, and the log beside it.

    Raises `RequestError` where something is in the way, `DataError` where `data` cannot be read or a row
    cannot be written.
    """
    refuse_to_overwrite(data, out)
    rows, dropped, changed = 0, Counter[str](), Counter[str]()
    try:
        # The log is in place first, so that no copy is ever without one.
        with new_file(out) as copy, new_file(log_of(out)) as log, copy.open("wb") as file:
            with log.open("wb") as log_file:
                for row in read_source_rows(data, reading):
                    revised = revise(row)
                    if revised.text is None:
                        dropped.update(_codes(revised))
                    else:
                        file.write(_encode(revised.text))
                        rows += 1
                        changed.update(_codes(revised))
                    _write_log(log_file, revised.changes)
            if not rows:
                raise RequestError(f"{out}: no row would be left, so nothing was written", param="drop")
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror or error}", param="out") from error
    return CleanFile(out, log_of(out), rows, dropped, changed)


def write_row(fields: Mapping[str, Any]) -> str:
    """One line of JSONL. What JSON has no word for, such as a table's dates, is written as text or null."""
    try:
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        return write_row({name: _without_nan(value) for name, value in fields.items()})
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # Half a surrogate pair, in a field that is not ours.
        text = json.dumps(fields, default=str)
    return text


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return [_without_nan(inner) for inner in value] if isinstance(value, list) else value


def excerpts(before: str, after: str) -> tuple[str, str]:
    """Both texts around the place where they begin to differ."""
    pairs = enumerate(zip(before, after, strict=False))
    differ = next((index for index, (old, new) in pairs if old != new), min(len(before), len(after)))
    start = max(0, differ - _CONTEXT_CHARACTERS)
    return _cut(before, start), _cut(after, start)


def _cut(text: str, start: int = 0) -> str:
    end = start + _EXCERPT_CHARACTERS
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def drop_row(row: SourceRow, code: str) -> RevisedRow:
    """Leave it out of the copy, for the problem `code`."""
    return RevisedRow(None, (RowChange(row.line, code, "row", _cut(_glance(row)), None),))


def _glance(row: SourceRow) -> str:
    """What one recognises a row by: its answer, if it has one."""
    try:
        answer = (row.fields or {})["messages"][-1]["content"]
    except (LookupError, TypeError):
        answer = None
    return answer if isinstance(answer, str) else row.text or ""


def _codes(revised: RevisedRow) -> dict[str, int]:
    return dict.fromkeys((change.code for change in revised.changes), 1)


def _encode(line: str) -> bytes:
    return f"{line}\n".encode()


def _write_log(file: IO[bytes], changes: tuple[RowChange, ...]) -> None:
    for change in changes:
        entry = {name: getattr(change, name) for name in RowChange.__slots__}
        file.write(_encode(write_row(entry)))
