"""All rows as one JSON array."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tunewise.data.formats.base import NumberedRow
from tunewise.data.formats.data_file import DataFile
from tunewise.data.formats.jsonl import JSON_SPACE
from tunewise.data.row_problems import RowProblem
from tunewise.data.strict_json import STRICT_JSON, json_complaint

_FIRST = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*(?:(?P<end>\])[ \t\r\n]*)?")
_NEXT = re.compile(r"[ \t\r\n]*(?:,[ \t\r\n]*|(?P<end>\])[ \t\r\n]*)")
_LAX_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
"""Only finds where a value ends that `STRICT_JSON` refuses."""


class JsonArray:
    """`[{...}, {...}]`, on one line or on many."""

    name = "json"

    def recognises(self, file: DataFile) -> bool:
        """The first character opens an array."""
        return file.head_text.startswith("[")

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """Behind an element that is not JSON no other can be found: what is left is one bad row.

        An element that starts on the line of the one before it has the next number, so that no two have the
        same; the elements of an array on one line are thereby counted.
        """
        lines: list[str] = []
        unreadable: NumberedRow | None = None
        for number, line in file.lines():
            if isinstance(line, RowProblem):
                unreadable = number, line
                break
            lines.append(line)
        last = 0
        for number, row in _elements("".join(lines)):
            if isinstance(row, _Rest) and unreadable is not None:
                break
            last = max(number, last + 1)
            yield last, row
        if unreadable is not None:
            yield max(unreadable[0], last + 1), unreadable[1]


class _Rest(RowProblem):
    """All that stands behind the last element that could be read."""


def _elements(text: str) -> Iterator[NumberedRow]:
    """Each element with the line that it starts on."""
    line, counted = 1, 0
    position = 0
    step = _FIRST.match(text)
    while True:
        position = step.end() if step else position
        line, counted = line + text.count("\n", counted, position), position
        if step is None or (step["end"] and position < len(text)):
            if text.strip(JSON_SPACE):
                yield line, _rest("a comma, or the end of the array, was expected", text, position)
            return
        if step["end"]:
            return
        try:
            row, position = STRICT_JSON.raw_decode(text, position)
        except json.JSONDecodeError as error:
            yield line, _rest(json_complaint(error), text, error.pos)
            return
        except RecursionError:
            yield line, _Rest("nested too deeply to be a conversation")
            return
        except ValueError as error:
            row = RowProblem(f"not JSON that can be trusted: {error}")
            try:
                _, position = _LAX_JSON.raw_decode(text, position)
            except (ValueError, RecursionError):
                yield line, _Rest(row.reason)
                return
        yield line, row
        step = _NEXT.match(text, position)


def _rest(message: str, text: str, position: int) -> _Rest:
    line, column = 1 + text.count("\n", 0, position), position - text.rfind("\n", 0, position)
    return _Rest(
        f"not JSON: {message} at line {line}, column {column}; nothing from here on can be read, "
        "mend the array or end it before"
    )
