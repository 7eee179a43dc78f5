"""Formats in: the user's file becomes examples, or one sentence about the first line that cannot be used.

The first stage of every job. The format is OpenAI's chat JSONL, one conversation per line:

    {"messages": [{"role": "system", "content": "..."}, {"role": "user", "content": "..."},
                  {"role": "assistant", "content": "...", "weight": 1}]}

Nothing is repaired or skipped in silence (blank lines apart): whatever would make training or measuring
mean something else than the user thinks is a `DataError` that names the line and the value.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from tunewise.data.duplicates import input_key, join_groups
from tunewise.errors import DataError
from tunewise.records import Example, Message, Role

ROLES: tuple[str, ...] = get_args(Role)

# Rows that use these mean something that a text-only conversation cannot express yet.
TOOL_ROLES = ("tool", "function")
TOOL_FIELDS = ("tools", "functions", "tool_calls", "function_call", "tool_call_id")

# What a 64-bit float can hold: beyond it, other JSON readers would quietly see another number.
MAX_DIGITS = 308

_JSON_SPACE = " \t\r\n"
_UTF8_BOM = b"\xef\xbb\xbf"


class _Problem(ValueError):
    """What is wrong with one line; `read_examples` adds the file and the line number."""


def read_examples(path: Path | str, group_key: str | None = None) -> list[Example]:
    """Every example of a chat JSONL file, in file order.

    `group_key` names a top-level field of each row (a string or a whole number): rows that share its value
    are one group. Rows whose inputs are the same but for case, spacing and punctuation are one group in
    any case, and chains of the two are followed (see `duplicates.join_groups`).

    Raises `DataError` on the first thing that cannot be used, never anything else.
    """
    path = Path(path)
    examples: list[Example] = []
    user_groups: list[str] = []
    for line, raw in _numbered_lines(path):
        try:
            row = _parse_row(raw)
            messages = _parse_messages(row)
            if group_key is not None:
                user_groups.append(_user_group(row, group_key))
        except _Problem as problem:
            raise DataError(path, str(problem), line=line) from None
        examples.append(Example(example_id(messages), messages, line, input_key(messages[:-1])))
    if not examples:
        raise DataError(path, "holds no examples: give a file with one JSON conversation per line")
    return examples if group_key is None else join_groups(examples, user_groups)


def example_id(messages: Sequence[Message]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the conversation's canonical JSON."""
    turns = [{"content": m.content, "role": m.role, "weight": m.weight} for m in messages]
    canonical = json.dumps(turns, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {_show(twice)} appears twice in one object")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value: use a number or null")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _sized_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


STRICT_JSON = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_constant=_no_constant,
    parse_float=_finite_float,
    parse_int=_sized_int,
)
"""JSON as RFC 8259 means it, where Python's own reader is lax: a repeated key, NaN, an infinity or a number
beyond a float's range raises ValueError; text that is not JSON raises its subclass JSONDecodeError; too
deep a nesting raises RecursionError."""


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
        raise _Problem(
            f"byte 0x{byte:02x} at position {column} is not UTF-8: save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise _Problem("holds a NUL byte: save the file as plain UTF-8 text")
    try:
        row = STRICT_JSON.decode(text)
    except json.JSONDecodeError as error:
        hint = "each line must hold one whole JSON object"
        raise _Problem(f"not JSON: {error.msg} at column {error.colno}; {hint}") from None
    except ValueError as error:
        raise _Problem(f"not JSON that can be trusted: {error}") from None
    except RecursionError:
        raise _Problem("nested too deeply to be a conversation") from None
    if not isinstance(row, dict):
        raise _Problem(f'{_show(row)} where an object with "messages" was expected')
    return row


def _parse_messages(row: dict[str, Any]) -> tuple[Message, ...]:
    """The row's conversation, checked turn by turn and as a whole."""
    _refuse_tools(row, "the row")
    if "messages" not in row:
        raise _Problem(f'no "messages" (the row has: {_names(row)}): give {{"messages": [...]}}')
    values = row["messages"]
    if not isinstance(values, list):
        raise _Problem(f'"messages" is {_show(values)}: give a list of turns')
    if not values:
        raise _Problem('"messages" is empty: give at least a user turn and the assistant\'s answer')
    messages = tuple(_parse_message(value, f"messages[{index}]") for index, value in enumerate(values))
    _check_order(messages)
    return messages


def _parse_message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise _Problem(f"{where} is {_show(value)}: give an object with role and content")
    role = value.get("role")
    if role in TOOL_ROLES:
        raise _Problem(f"{where} has the role {_show(role)}: tools are not supported yet")
    _refuse_tools(value, where)
    if role not in ROLES:
        raise _Problem(f"{where} has the role {_show(role)}: use one of {', '.join(ROLES)}")
    unknown = [key for key in value if key not in ("role", "content", "weight") and not _absent(value[key])]
    if unknown:
        raise _Problem(
            f"{where} has {_show(unknown[0])}: only role, content and weight are understood, remove it"
        )
    weight = _weight(value.get("weight"), where)
    # Loss is only ever taken on the assistant's turns, so a weight elsewhere changes nothing.
    return Message(cast(Role, role), _content(value, where), weight if role == "assistant" else 1)


def _content(value: dict[str, Any], where: str) -> str:
    content = value.get("content")
    if isinstance(content, list):
        raise _Problem(
            f"{where} has a list as content: images, audio and parts are not supported yet, give a string"
        )
    if not isinstance(content, str):
        raise _Problem(f"{where} has the content {_show(content)}: give a string")
    if not content.strip():
        raise _Problem(f"{where} has an empty content {_show(content)}: fill it in, or remove the row")
    _check_text(content, f"{where}.content")
    return content


def _weight(value: object, where: str) -> int:
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1):
        raise _Problem(f"{where} has the weight {_show(value)}: give 0 (context only) or 1 (to be learned)")
    return int(value)


def _check_order(messages: Sequence[Message]) -> None:
    """An optional system message, then user and assistant in turn, with the assistant last."""
    first = 1 if messages[0].role == "system" else 0
    for index, message in enumerate(messages[first:]):
        expected = "assistant" if index % 2 else "user"
        if message.role != expected:
            rule = "after an optional system message, user and assistant take turns"
            raise _Problem(
                f"messages[{first + index}] is {message.role!r} where {expected!r} belongs: {rule}"
            )
    last = messages[-1]
    if last.role != "assistant":
        raise _Problem(f"ends with {last.role!r}: the last message is the expected answer, the assistant's")
    if last.weight == 0:
        raise _Problem(
            "the last assistant message has weight 0, so the row has no answer to learn: remove one of them"
        )


def _user_group(row: dict[str, Any], key: str) -> str:
    if key not in row:
        raise _Problem(f"no field {_show(key)} to group by (the row has: {_names(row)})")
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _Problem(f"the group {_show(key)} is {_show(value)}: give a string or a whole number")
    group = str(value)
    _check_text(group, f"the group {_show(key)}")
    return group


def _refuse_tools(fields: dict[str, Any], where: str) -> None:
    for name in TOOL_FIELDS:
        if not _absent(fields.get(name)):
            raise _Problem(f"{where} has {_show(name)}: tools are not supported yet, use rows without them")


def _check_text(text: str, where: str) -> None:
    """Refuse what cannot be written back as UTF-8, or would end a string elsewhere."""
    if "\0" in text:
        raise _Problem(f"{where} holds a NUL character (\\u0000): remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        raise _Problem(
            f"{where} holds half a surrogate pair (\\u{code:04x}), which is no character: mend it"
        ) from None


def _absent(value: object) -> bool:
    """Exports write null or an empty list for what a message does not have."""
    return value is None or value == []


def _names(row: dict[str, Any]) -> str:
    return ", ".join(_show(key) for key in list(row)[:5]) or "nothing"


def _show(value: object) -> str:
    """A value as an error message names it: short, on one line, and printable whatever it holds."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
