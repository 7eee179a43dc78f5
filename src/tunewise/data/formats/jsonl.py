"""One JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tunewise.data.formats.base import NumberedRow
from tunewise.data.formats.data_file import DataFile
from tunewise.data.row_problems import RowProblem
from tunewise.data.strict_json import STRICT_JSON, json_complaint

JSON_SPACE = " \t\r\n"


class JsonLines:
    """JSONL; also what any text is taken for that is nothing else, so that its first line gets named."""

    name = "jsonl"

    def recognises(self, file: DataFile) -> bool:
        """The first character opens an object."""
        return file.head_text.startswith("{")

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """Blank lines are none."""
        for number, line in file.lines():
            if isinstance(line, RowProblem):
                yield number, line
            elif text := line.strip(JSON_SPACE):
                yield number, _decode(text)


def _decode(text: str) -> Any:
    if "\0" in text:
        return RowProblem(
            "holds a NUL byte: save the file as plain UTF-8 text, or say --encoding utf-16-le if it is that"
        )
    try:
        return STRICT_JSON.decode(text)
    except json.JSONDecodeError as error:
        hint = "each line must hold one whole JSON object"
        if text == "{":
            hint += ", as `jq -c . FILE` writes those that go over many lines"
        return RowProblem(f"not JSON: {json_complaint(error)} at column {error.colno}; {hint}")
    except ValueError as error:
        return RowProblem(f"not JSON that can be trusted: {error}")
    except RecursionError:
        return RowProblem("nested too deeply to be a conversation")
