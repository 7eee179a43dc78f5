"""Formats in: the user's file becomes examples, or one sentence about the first line that cannot be used.

The first stage of every job. The format is OpenAI's chat JSONL, one conversation per line:

    {"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "..."},
                  {"role": "assistant", "content": "...", "weight": 1}],
     "tools": [...], "parallel_tool_calls": true}

Nothing is repaired or skipped in silence (blank lines apart): whatever would make training or measuring
mean something else than the user thinks is a `DataError` that names the line and the value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.data.conversations import parse_conversation
from tunewise.data.duplicates import input_key, join_groups
from tunewise.data.row_problems import RowProblem, RowProblemCode, check_text, names, show
from tunewise.data.strict_json import STRICT_JSON
from tunewise.errors import DataError
from tunewise.records import Example, Message, Tool

_JSON_SPACE = " \t\r\n"
_UTF8_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A line that is no example, and why."""

    line: int
    code: RowProblemCode
    reason: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as it stands in the file, with all its fields, for whoever writes it out again."""

    line: int
    fields: dict[str, Any] | None
    """As OpenAI's fine-tuning takes them; None where they cannot be read."""
    text: str | None
    """The row as one line of chat JSONL, where it stood as one in the file."""


@dataclass(frozen=True, slots=True)
class Scan:
    """All that a file holds."""

    examples: tuple[Example, ...]
    rejected: tuple[RejectedRow, ...]

    @property
    def num_rows(self) -> int:
        """Blank lines are none."""
        return len(self.examples) + len(self.rejected)


def read_examples(path: Path | str, group_key: str | None = None) -> list[Example]:
    """Every example of a chat JSONL file, in file order.

    `group_key` names a top-level field of each row (a string or a whole number): rows that share its value
    are one group. Rows whose inputs are the same but for case, spacing and punctuation are one group in
    any case, and chains of the two are followed (see `duplicates.join_groups`).

    Raises `DataError` on the first thing that cannot be used, never anything else.
    """
    path = Path(path)

    def refuse(row: RejectedRow) -> None:
        raise DataError(path, row.reason, line=row.line) from None

    examples = _read_rows(path, group_key, refuse)
    if not examples:
        raise DataError(path, "holds no examples: give a file with one JSON conversation per line")
    return examples


def scan_examples(path: Path | str, group_key: str | None = None) -> Scan:
    """Every row of a file, usable or not, in file order. Raises `DataError` where the file cannot be read."""
    rejected: list[RejectedRow] = []
    examples = _read_rows(Path(path), group_key, rejected.append)
    return Scan(tuple(examples), tuple(rejected))


def read_source_rows(path: Path | str) -> Iterator[SourceRow]:
    """Every row of a file as it stands there. Raises `DataError` where the file cannot be read."""
    for line, raw in _numbered_lines(Path(path)):
        try:
            text = raw.decode("utf-8").strip(_JSON_SPACE)
        except UnicodeDecodeError:
            yield SourceRow(line, None, None)
            continue
        try:
            yield SourceRow(line, _parse_row(raw), text)
        except RowProblem:
            yield SourceRow(line, None, text)


def _read_rows(path: Path, group_key: str | None, reject: Callable[[RejectedRow], None]) -> list[Example]:
    examples: list[Example] = []
    user_groups: list[str] = []
    for line, raw in _numbered_lines(path):
        try:
            row = _parse_row(raw)
            said = parse_conversation(row)
            group = None if group_key is None else _user_group(row, group_key)
        except RowProblem as problem:
            reject(RejectedRow(line, problem.code, problem.reason))
            continue
        if group is not None:
            user_groups.append(group)
        examples.append(
            Example(
                example_id(said.messages, said.tools),
                said.messages,
                line,
                input_key(said.messages[:-1]),
                said.tools,
                said.parallel_tool_calls,
            )
        )
    return examples if group_key is None else join_groups(examples, user_groups)


def example_id(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the conversation's canonical JSON.

    The ids of calls are left out: they only tie results to calls, whose order says the same.
    """
    turns = [_describe_turn(message) for message in messages]
    conversation = {"messages": turns, "tools": [asdict(tool) for tool in tools]} if tools else turns
    canonical = json.dumps(conversation, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


def _describe_turn(message: Message) -> dict[str, Any]:
    turn: dict[str, Any] = {"content": message.content, "role": message.role, "weight": message.weight}
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return turn | ({"tool_calls": calls} if calls else {})


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line that is not blank, with its number. Only a line feed ends one: strings may hold U+2028."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(_UTF8_BOM) if number == 1 else raw
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise DataError(path, "there is no such file") from None
    except IsADirectoryError:
        raise DataError(path, "is a folder: give the JSONL file itself") from None
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path that no file system can hold
        raise DataError(path, f"cannot be opened: {error}") from None


def _parse_row(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8").strip(_JSON_SPACE)
    except UnicodeDecodeError as error:
        byte, column = raw[error.start], error.start + 1
        raise RowProblem(
            f"byte 0x{byte:02x} at position {column} is not UTF-8: save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise RowProblem("holds a NUL byte: save the file as plain UTF-8 text")
    try:
        row = STRICT_JSON.decode(text)
    except json.JSONDecodeError as error:
        hint = "each line must hold one whole JSON object"
        raise RowProblem(f"not JSON: {error.msg} at column {error.colno}; {hint}") from None
    except ValueError as error:
        raise RowProblem(f"not JSON that can be trusted: {error}") from None
    except RecursionError:
        raise RowProblem("nested too deeply to be a conversation") from None
    if not isinstance(row, dict):
        raise RowProblem(f'{show(row)} where an object with "messages" was expected')
    return row


def _user_group(row: dict[str, Any], key: str) -> str:
    if key not in row:
        raise RowProblem(f"no field {show(key)} to group by (the row has: {names(row)})")
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RowProblem(f"the group {show(key)} is {show(value)}: give a string or a whole number")
    group = str(value)
    check_text(group, f"the group {show(key)}")
    return group
