"""How a file is read: as its content says, unless the user says otherwise."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tunewise.data.formats import CONTAINERS, FIELDS, SHAPES
from tunewise.data.formats.base import Container, NumberedRow, RowShape
from tunewise.data.formats.data_file import DataFile
from tunewise.data.row_problems import RowProblem, names, show
from tunewise.errors import SpecError

_CONTAINERS = {container.name: container for container in CONTAINERS}
_SHAPES = {shape.name: shape for shape in SHAPES}
FORMAT_NAMES = (*_CONTAINERS, *_SHAPES)
_NOT_OF_FILES = {
    codecs.lookup(name).name
    for name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")
}
"""What Python counts among the encodings of text, and nobody writes a file in."""


class Reading(BaseModel):
    """What the user says about a file of examples; by default nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: tuple[str, ...] = ()
    """A container's name, a shape's, or both (`FORMAT_NAMES`)."""
    columns: dict[str, str] = Field(default_factory=dict)
    """What the file calls its fields, and what the shape does."""
    encoding: str | None = None
    """Of text, by Python's name for it."""

    @field_validator("format")
    @classmethod
    def _names_each_layer_once(cls, format: tuple[str, ...]) -> tuple[str, ...]:
        for name in format:
            if name not in FORMAT_NAMES:
                raise ValueError(f"there is no format {show(name)}: choose from {', '.join(FORMAT_NAMES)}")
        for layer in (_CONTAINERS, _SHAPES):
            named = [name for name in format if name in layer]
            if len(named) > 1:
                raise ValueError(f"a file cannot be both {named[0]} and {named[1]}: choose one")
        return format

    @field_validator("columns")
    @classmethod
    def _names_known_fields(cls, columns: dict[str, str]) -> dict[str, str]:
        for theirs, ours in columns.items():
            if ours not in FIELDS:
                turned = f" (the file's own name comes first: {ours}={theirs})" if theirs in FIELDS else ""
                raise ValueError(f"no field is called {show(ours)}{turned}: use {', '.join(sorted(FIELDS))}")
        twice = [name for name in columns.values() if list(columns.values()).count(name) > 1]
        if twice:
            raise ValueError(f"two columns cannot both be {show(twice[0])}: name one")
        return columns

    @field_validator("encoding")
    @classmethod
    def _names_an_encoding_of_text(cls, encoding: str | None) -> str | None:
        if encoding is not None and not _is_of_files(encoding):
            raise ValueError(f"there is no encoding {show(encoding)}: try latin-1, cp1252 or utf-16")
        return encoding

    @property
    def container(self) -> Container | None:
        """None leaves it to the file's content."""
        return next((_CONTAINERS[name] for name in self.format if name in _CONTAINERS), None)

    @property
    def shapes(self) -> tuple[RowShape, ...]:
        """What a row may be, likeliest first."""
        return tuple(_SHAPES[name] for name in self.format if name in _SHAPES) or SHAPES


def parse_reading(
    format: str | None = None, columns: str | None = None, encoding: str | None = None
) -> Reading:
    """What `--format A,B`, `--columns theirs=ours,...` and `--encoding` say. Raises `SpecError`."""
    renamed: dict[str, str] = {}
    for pair in _listed(columns):
        theirs, equals, ours = (part.strip() for part in pair.rpartition("="))
        if not (theirs and equals and ours) or theirs in renamed:
            raise SpecError(f"--columns has {show(pair)}: give each column once, as in question=prompt")
        renamed[theirs] = ours
    try:
        return Reading(format=tuple(_listed(format)), columns=renamed, encoding=encoding)
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"--{first['loc'][0]}: {first['msg'].removeprefix('Value error, ')}") from None


def numbered_rows(path: Path, reading: Reading) -> Iterator[NumberedRow]:
    """Every row as the file has it. Raises `DataError` where it cannot be read at all."""
    file = DataFile(path, reading.encoding)
    return open_container(file, reading).rows(file)


def open_container(file: DataFile, reading: Reading) -> Container:
    """What cuts the file into rows. Raises `DataError` where it cannot be read at all."""
    recognised = (container for container in CONTAINERS if container.recognises(file))
    # Any text that is nothing else is taken for JSONL, so that its first line gets named.
    return reading.container or next(recognised, _CONTAINERS["jsonl"])


class ChatRows:
    """Makes chat rows of a file's rows, each by its own shape; one without is taken for what the last was."""

    def __init__(self, reading: Reading) -> None:
        self._columns = reading.columns
        self._shapes = reading.shapes
        self._last = reading.shapes[0]

    def convert(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """`messages`, `tools` and `parallel_tool_calls`. Raises `RowProblem`."""
        if self._columns:
            row = self._rename(row)
        shape = self._recognise(row)
        if shape is None:
            self._refuse_nested_rows(row)
        self._last = shape or self._last
        return self._last.to_chat(row)

    def convert_whole(self, row: dict[str, Any]) -> dict[str, Any]:
        """The same, and all fields that went into none of these; the row itself if it is a chat row."""
        chat = self.convert(row)
        if chat is row:
            return row
        read = {*self._last.fields, *self._columns}
        return {name: value for name, value in row.items() if name not in read} | dict(chat)

    def _recognise(self, row: Mapping[str, Any]) -> RowShape | None:
        return next((shape for shape in self._shapes if shape.recognises(row)), None)

    def _refuse_nested_rows(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if isinstance(value, list) and value and isinstance(value[0], dict) and self._recognise(value[0]):
                raise RowProblem(f"the rows stand in its field {show(name)}: give a file of that list alone")

    def _rename(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        missing = [name for name in self._columns if name not in row]
        if missing:
            raise RowProblem(f"no {show(missing[0])}, which --columns names (the row has: {names(row)})")
        others = {name: value for name, value in row.items() if name not in self._columns}
        return others | {ours: row[theirs] for theirs, ours in self._columns.items()}


def _is_of_files(encoding: str) -> bool:
    try:
        "".encode(encoding)  # Refuses what is not of text, such as base64.
        return codecs.lookup(encoding).name not in _NOT_OF_FILES
    except (LookupError, ValueError):
        return False


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]
