"""The user's file becomes examples, or one sentence about the first row that cannot be used.

The first stage of every job. Whatever the file's format (`formats/`), each row becomes one of OpenAI's:

    {"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "..."},
                  {"role": "assistant", "content": "...", "weight": 1}],
     "tools": [...], "parallel_tool_calls": true}

Nothing is repaired or skipped in silence (blank lines apart): whatever would make training or measuring
mean something else than the user thinks is a `DataError` that names the line and the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunewise.data.conversations import parse_conversation
from tunewise.data.duplicates import example_id, input_key, join_groups
from tunewise.data.instructions import system_messages_vary
from tunewise.data.reading import ChatRows, Reading, numbered_rows
from tunewise.data.row_problems import RowProblem, RowProblemCode, check_text, names, show
from tunewise.errors import DataError
from tunewise.records import Example, Tool

AS_THE_FILE_SAYS = Reading()


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A line that is no example, and why."""

    line: int
    code: RowProblemCode
    reason: str


@dataclass(frozen=True, slots=True)
class Scan:
    """All that a file holds."""

    examples: tuple[Example, ...]
    rejected: tuple[RejectedRow, ...]

    @property
    def num_rows(self) -> int:
        """Blank lines are none."""
        return len(self.examples) + len(self.rejected)


def read_examples(
    path: Path | str,
    group_key: str | None = None,
    reading: Reading = AS_THE_FILE_SAYS,
    own_system: bool | None = None,
) -> list[Example]:
    """Every example of a file, in file order.

    `group_key` names a top-level field of each row (a string or a whole number): rows that share its value
    are one group. Rows whose inputs are the same but for case, spacing and punctuation are one group in
    any case, and chains of the two are followed (see `duplicates.join_groups`). `own_system` says whether
    system messages are a part of the inputs; by default they are where they vary.

    Raises `DataError` on the first thing that cannot be used, never anything else.
    """
    path = Path(path)

    def refuse(row: RejectedRow) -> None:
        raise DataError(path, row.reason, line=row.line) from None

    examples = _read_rows(path, group_key, reading, refuse, own_system)
    if not examples:
        raise DataError(path, "holds no examples: give a file with one conversation per line or row")
    return examples


def scan_examples(
    path: Path | str, group_key: str | None = None, reading: Reading = AS_THE_FILE_SAYS
) -> Scan:
    """Every row of a file, usable or not, in file order. Raises `DataError` where the file cannot be read."""
    rejected: list[RejectedRow] = []
    examples = _read_rows(Path(path), group_key, reading, rejected.append)
    return Scan(tuple(examples), tuple(rejected))


def _read_rows(
    path: Path,
    group_key: str | None,
    reading: Reading,
    reject: Callable[[RejectedRow], None],
    own_system: bool | None = None,
) -> list[Example]:
    examples: list[Example] = []
    user_groups: list[str] = []
    chat_rows = ChatRows(reading)
    same_tools: dict[tuple[Tool, ...], tuple[Tool, ...]] = {}  # Rows repeat them, and they are long.
    for line, row in numbered_rows(path, reading):
        try:
            if isinstance(row, RowProblem):
                raise row
            if not isinstance(row, dict):
                raise RowProblem(f'{show(row)} where an object with "messages" was expected')
            said = parse_conversation(chat_rows.convert(row))
            group = None if group_key is None else _user_group(row, group_key)
        except RowProblem as problem:
            reject(RejectedRow(line, problem.code, problem.reason))
            continue
        if group is not None:
            user_groups.append(group)
        tools = same_tools.setdefault(said.tools, said.tools)
        examples.append(
            Example(
                example_id(said.messages, tools),
                said.messages,
                line,
                input_key(said.messages[:-1]),
                tools,
                said.parallel_tool_calls,
            )
        )
    if system_messages_vary(examples) if own_system is None else own_system:
        examples = [_with_own_system(example) for example in examples]
    return examples if group_key is None else join_groups(examples, user_groups)


def _with_own_system(example: Example) -> Example:
    return replace(example, own_system=True, group=input_key(example.prompt, with_system=True))


def _user_group(row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        raise RowProblem(f"no field {show(key)} to group by (the row has: {names(row)})")
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RowProblem(f"the group {show(key)} is {show(value)}: give a string or a whole number")
    group = str(value)
    check_text(group, f"the group {show(key)}")
    return group
