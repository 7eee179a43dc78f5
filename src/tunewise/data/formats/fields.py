"""Reading the fields of a row, whatever its shape: texts, turns, and JSON that a table holds as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.row_problems import RowProblem, absent, names, show
from tunewise.data.strict_json import STRICT_JSON


def read_text(row: Mapping[str, Any], name: str) -> str:
    """A field that holds a text and must not be blank. Raises `RowProblem`."""
    value = _value(row, name)
    if not isinstance(value, str):
        raise RowProblem(f'"{name}" is {show(value)}: give a string')
    if not value.strip():
        raise RowProblem(f'"{name}" is empty: fill it in, or remove the row', "empty-turn")
    return value


def read_optional_text(row: Mapping[str, Any], name: str) -> str | None:
    """A field that may be missing, null or blank. Raises `RowProblem` for anything else that is no string."""
    value = row.get(name)
    if absent(value) or (isinstance(value, str) and not value.strip()):
        return None
    return read_text(row, name)


def read_turns(row: Mapping[str, Any], name: str, role: str) -> list[Any]:
    """A field that holds either messages, as they are, or the text of one message of `role`."""
    value = _value(row, name)
    return value if isinstance(value, list) else [{"role": role, "content": read_text(row, name)}]


def read_system(row: Mapping[str, Any]) -> list[Any]:
    """The message that the field `system` makes, or none."""
    system = read_optional_text(row, "system")
    return [] if system is None else [{"role": "system", "content": system}]


def read_tools(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that every shape has in common with chat rows."""
    return {name: decode_text(row[name], name) for name in ("tools", "parallel_tool_calls") if name in row}


def decode_text(value: Any, name: str) -> Any:
    """A list that a table holds as JSON text, as its columns have no better type. Raises `RowProblem`."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value or None
    try:
        return STRICT_JSON.decode(value.strip())
    except (ValueError, RecursionError) as error:
        raise RowProblem(f'"{name}" is {show(value)}, which is no JSON: {error}') from None


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise RowProblem(f'no "{name}" (the row has: {names(row)}): give it, or remove the row')
    return row[name]
