"""What is wrong with one row, in words that name the place and the value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any, Literal

RowProblemCode = Literal["malformed", "roles", "empty-turn"]


class RowProblem(ValueError):
    """What is wrong with one line; whoever reads the file adds its name and the line number."""

    def __init__(self, reason: str, code: RowProblemCode = "malformed") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code: RowProblemCode = code


def check_text(text: str, where: str) -> None:
    """Refuse what cannot be written back as UTF-8, or would end a string elsewhere."""
    if "\0" in text:
        raise RowProblem(f"{where} holds a NUL character (\\u0000): remove it")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise RowProblem(
            f"{where} holds half a surrogate pair (\\u{code:04x}), which is no character: mend it"
        ) from None


def refuse_unknown(fields: Mapping[str, Any], known: Set[str], where: str, understood: str) -> None:
    """Refuse a field that means something and would be ignored; `understood` names those that are not."""
    if fields.keys() <= known:
        return
    unknown = [key for key in fields if key not in known and not absent(fields[key])]
    if unknown:
        raise RowProblem(f"{where} has {show(unknown[0])}: only {understood} are understood, remove it")


def absent(value: object) -> bool:
    """Exports write null or an empty list for what a message does not have."""
    return value is None or value == []


def names(row: Mapping[str, Any]) -> str:
    """The first fields of a row."""
    return ", ".join(show(key) for key in list(row)[:5]) or "nothing"


def show(value: object) -> str:
    """A value as an error message names it: short, on one line, and printable whatever it holds."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
