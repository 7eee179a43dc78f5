"""One row to one conversation, checked turn by turn and as a whole."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, get_args

from tunewise.data.functions import parse_calls, parse_tools
from tunewise.data.row_problems import RowProblem, absent, check_text, names, refuse_unknown, show
from tunewise.records import Message, Role, Tool

ROLES: tuple[str, ...] = get_args(Role)
_MESSAGE_FIELDS = frozenset({"role", "content", "weight", "tool_calls", "tool_call_id"})
_PLAIN_FIELDS, _PLAIN_ROLES = {"role", "content"}, ("system", "user", "assistant")
_OLD_FIELDS = {"functions": "tools", "function_call": "tool_calls"}
_TURNS = "after an optional system message, user and assistant take turns"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a row says; the last turn is the expected answer."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    parallel_tool_calls: bool


def parse_conversation(row: Mapping[str, Any]) -> Conversation:
    """The conversation of a row as OpenAI's fine-tuning takes it. Raises `RowProblem`."""
    _refuse_old_fields(row, "the row")
    tools = parse_tools(row.get("tools"))
    parallel = row.get("parallel_tool_calls")
    if not absent(parallel) and not isinstance(parallel, bool):
        raise RowProblem(f'"parallel_tool_calls" is {show(parallel)}: give true or false')
    if "messages" not in row:
        raise RowProblem(f'no "messages" (the row has: {names(row)}): give {{"messages": [...]}}')
    values = row["messages"]
    if not isinstance(values, list):
        raise RowProblem(f'"messages" is {show(values)}: give a list of turns')
    if not values:
        raise RowProblem('"messages" is empty: give at least a user turn and the assistant\'s answer')
    messages = tuple(_parse_message(value, f"messages[{index}]") for index, value in enumerate(values))
    _check_order(messages)
    _check_calls(messages, tools, parallel=parallel is not False)
    return Conversation(messages, tools, parallel is not False)


def _parse_message(value: object, where: str) -> Message:
    if not isinstance(value, dict):
        raise RowProblem(f"{where} is {show(value)}: give an object with role and content")
    role = value.get("role")
    if (
        value.keys() == _PLAIN_FIELDS and role in _PLAIN_ROLES
    ):  # As nearly all are: the rest need not be asked.
        make = _parse_system if role == "system" and isinstance(value["content"], str) else _parse_plain
        return make(cast(Role, sys.intern(role)), value["content"], where)
    _refuse_old_fields(value, where)
    if role not in ROLES:
        raise RowProblem(f"{where} has the role {show(role)}: use one of {', '.join(ROLES)}", "roles")
    refuse_unknown(value, _MESSAGE_FIELDS, where, "role, content, weight, tool_calls and tool_call_id")
    if not absent(value.get("tool_calls")) and role != "assistant":
        raise RowProblem(f"{where} has 'tool_calls' but the role {role!r}: only assistants call")
    calls = parse_calls(value.get("tool_calls"), where)
    weight = _weight(value.get("weight"), where)
    return Message(
        cast(Role, sys.intern(role)),
        _content(value.get("content"), where, may_be_empty=bool(calls) or role == "tool"),
        # Loss is only ever taken on the assistant's turns, so a weight elsewhere changes nothing.
        weight if role == "assistant" else 1,
        calls,
        _answered_call(value, where),
    )


def _parse_plain(role: Role, content: object, where: str) -> Message:
    return Message(role, _content(content, where, may_be_empty=False))


_parse_system = lru_cache(maxsize=1024)(_parse_plain)
"""Most rows open with the same system message: a million copies would take time and memory."""


def _content(content: object, where: str, *, may_be_empty: bool) -> str:
    if isinstance(content, list):
        raise RowProblem(
            f"{where} has a list as content: images, audio and parts are not supported yet, give a string"
        )
    if content is None and may_be_empty:
        return ""
    if not isinstance(content, str):
        raise RowProblem(f"{where} has the content {show(content)}: give a string")
    if not content.strip() and not may_be_empty:
        raise RowProblem(
            f"{where} has an empty content {show(content)}: fill it in, or remove the row", "empty-turn"
        )
    check_text(content, f"{where}.content")
    return content


def _weight(value: object, where: str) -> int:
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in (0, 1):
        raise RowProblem(f"{where} has the weight {show(value)}: give 0 (context only) or 1 (to be learned)")
    return int(value)


def _answered_call(value: dict[str, Any], where: str) -> str | None:
    call = value.get("tool_call_id")
    if value["role"] != "tool":
        if not absent(call):
            raise RowProblem(f"{where} has 'tool_call_id' but the role {value['role']!r}: only tools have it")
        return None
    if not isinstance(call, str):
        raise RowProblem(f"{where} has the tool_call_id {show(call)}: name the call whose result it is")
    return call


def _check_order(messages: Sequence[Message]) -> None:
    """An optional system message, then user and assistant in turn, with the assistant last."""
    first = 1 if messages[0].role == "system" else 0
    expected: Role = "user"
    waiting: set[str] = set()
    """The calls whose results have to come next."""
    for index, message in enumerate(messages[first:], start=first):
        if message.role != expected:
            rule = "each call is followed by its result" if expected == "tool" else _TURNS
            raise RowProblem(
                f"messages[{index}] is {message.role!r} where {expected!r} belongs: {rule}", "roles"
            )
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise RowProblem(
                    f"messages[{index}] is the result of the call {show(message.tool_call_id)}, "
                    "which the turn before did not make or which has one already"
                )
            waiting.remove(message.tool_call_id)
        waiting |= {call.id for call in message.tool_calls}
        if waiting:
            expected = "tool"
        elif message.role == "assistant":
            expected = "user"
        else:
            expected = "assistant"
    last = messages[-1]
    if last.role != "assistant":
        raise RowProblem(
            f"ends with {last.role!r}: the last message is the expected answer, the assistant's", "roles"
        )
    if last.weight == 0:
        raise RowProblem(
            "the last assistant message has weight 0, so the row has no answer to learn: remove one of them"
        )


def _check_calls(messages: Sequence[Message], tools: Sequence[Tool], *, parallel: bool) -> None:
    """Only functions that the row describes are called, and only as many at once as it allows."""
    if not any(message.tool_calls for message in messages):
        return
    known = {tool.name for tool in tools}
    for index, message in enumerate(messages):
        for call in message.tool_calls:
            if call.name not in known:
                described = ", ".join(sorted(known)) or "nothing"
                raise RowProblem(
                    f"messages[{index}] calls {call.name!r}, but the row's tools describe {described}"
                )
        if len(message.tool_calls) > 1 and not parallel:
            raise RowProblem(
                f"messages[{index}] makes {len(message.tool_calls)} calls at once, but the row's "
                "parallel_tool_calls is false"
            )


def _refuse_old_fields(fields: Mapping[str, Any], where: str) -> None:
    if fields.keys().isdisjoint(_OLD_FIELDS):
        return
    for old, new in _OLD_FIELDS.items():
        if not absent(fields.get(old)):
            raise RowProblem(f"{where} has {old!r}, the old form: use {new!r}")
