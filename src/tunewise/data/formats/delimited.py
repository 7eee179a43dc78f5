"""Tables as text: a header, then a row per line, or per lines where a quoted field holds line breaks."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunewise.data.formats.base import NumberedRow
from tunewise.data.formats.data_file import DataFile
from tunewise.data.row_problems import RowProblem, show
from tunewise.errors import DataError

# The default refuses a field of more than 131,072 characters. The limit is the module's, for all its readers.
csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Delimited:
    """CSV and its kin, with fields quoted as RFC 4180 says."""

    name: str
    delimiters: str
    """Each a character; the header's commonest counts."""
    known_fields: frozenset[str]
    """A header with one of these is recognised whatever the file is called."""

    def recognises(self, file: DataFile) -> bool:
        """The file's name says so, before .gz or .zst, or two columns of which one has a known name."""
        if f".{self.name}" in file.path.suffixes[-2:]:
            return True
        header = file.head_text.splitlines()[:1]
        columns = next(csv.reader(header, delimiter=self._delimiter(file)), [])
        return len(columns) > 1 and not self.known_fields.isdisjoint(columns)

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """Blank lines are none; all fields are strings."""
        lines = _Lines(file)
        reader = csv.reader(lines, delimiter=self._delimiter(file), strict=True)
        columns: list[str] | None = None
        while True:
            start = lines.number + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                yield start, _malformed(str(error), start, lines.number)
                continue
            except RowProblem as problem:
                yield lines.number, problem
                continue
            if fields is None:
                return
            if not fields:
                continue
            if columns is None:
                columns = _check_header(fields, file, start)
            elif len(fields) != len(columns):
                yield (
                    start,
                    RowProblem(
                        f"has {len(fields)} fields where the header has {len(columns)}: "
                        "put fields that hold the delimiter or a line break in double quotes"
                    ),
                )
            else:
                yield start, dict(zip(columns, fields, strict=True))

    def _delimiter(self, file: DataFile) -> str:
        header = file.head_text.partition("\n")[0]
        return max(self.delimiters, key=header.count)


class _Lines:
    """What `csv.reader` reads from. It remembers how far it got, and raises a line's problem in its place."""

    def __init__(self, file: DataFile) -> None:
        self._lines = file.lines(newline="")
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        if isinstance(line, RowProblem):
            raise line
        return line


def _check_header(columns: Sequence[str], file: DataFile, line: int) -> list[str]:
    twice = [name for name, count in Counter(columns).items() if count > 1 and name]
    if twice:
        raise DataError(file.path, f"the header has the column {show(twice[0])} twice: rename one", line=line)
    if len(columns) < 2:
        raise DataError(
            file.path,
            f"the header has one column only, {show(columns[0])}: at least a question's and an answer's are "
            "needed, side by side",
            line=line,
        )
    return list(columns)


def _malformed(error: str, start: int, end: int) -> RowProblem:
    if error == "unexpected end of data":
        where = f"line {start}" if start == end else f"the lines {start} to {end}"
        return RowProblem(f"a double quote opened on {where} is never closed: close it, or double it")
    return RowProblem(f"not CSV: {error}")
