"""The functions that a row describes, and the calls that its turns make."""

from __future__ import annotations

import json
import re
from typing import Any

from tunewise.data.row_problems import RowProblem, absent, check_text, refuse_unknown, show
from tunewise.data.strict_json import STRICT_JSON
from tunewise.records import Tool, ToolCall

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def parse_tools(values: object) -> tuple[Tool, ...]:
    """A row's `tools`, as OpenAI's API takes them. Raises `RowProblem`."""
    if absent(values):
        return ()
    if not isinstance(values, list):
        raise RowProblem(f'"tools" is {show(values)}: give a list of functions')
    tools = tuple(_parse_tool(value, f"tools[{index}]") for index, value in enumerate(values))
    twice = [tool.name for index, tool in enumerate(tools) if tool.name in {t.name for t in tools[:index]}]
    if twice:
        raise RowProblem(f'"tools" describes {twice[0]!r} twice: keep one')
    return tools


def parse_calls(values: object, where: str) -> tuple[ToolCall, ...]:
    """A turn's `tool_calls`. Raises `RowProblem`."""
    if absent(values):
        return ()
    if not isinstance(values, list):
        raise RowProblem(f"{where}.tool_calls is {show(values)}: give a list of calls")
    calls = tuple(_parse_call(value, f"{where}.tool_calls[{i}]") for i, value in enumerate(values))
    if len({call.id for call in calls}) < len(calls):
        raise RowProblem(f"{where}.tool_calls holds two calls of one id: give each its own")
    return calls


def _parse_tool(value: object, where: str) -> Tool:
    function = _function(value, ("type", "function"), where)
    refuse_unknown(
        function,
        {"name", "description", "parameters", "strict"},
        f"{where}.function",
        "name, description, parameters and strict",
    )
    description, parameters = function.get("description"), function.get("parameters")
    if description is not None:
        if not isinstance(description, str):
            raise RowProblem(f"{where}.function has the description {show(description)}: give a string")
        check_text(description, f"{where}.function.description")
    if parameters is None:
        return Tool(_name(function, where), description=description)
    if not isinstance(parameters, dict):
        raise RowProblem(f"{where}.function has the parameters {show(parameters)}: give a JSON schema")
    return Tool(_name(function, where), _write(parameters, f"{where}.function.parameters"), description)


def _parse_call(value: object, where: str) -> ToolCall:
    function = _function(value, ("id", "type", "function"), where)
    refuse_unknown(function, {"name", "arguments"}, f"{where}.function", "name and arguments")
    call_id = value.get("id") if isinstance(value, dict) else None
    if not isinstance(call_id, str) or not call_id:
        raise RowProblem(f"{where} has the id {show(call_id)}: give a string, which its result names")
    check_text(call_id, f"{where}.id")
    return ToolCall(call_id, _name(function, where), _arguments(function.get("arguments"), where))


def _function(value: object, known: tuple[str, ...], where: str) -> dict[str, Any]:
    """What `tools` and `tool_calls` wrap in the same way."""
    if not isinstance(value, dict) or not isinstance(value.get("function"), dict):
        raise RowProblem(f'{where} is no function: give {{"type": "function", "function": {{...}}}}')
    if value.get("type", "function") != "function":
        raise RowProblem(f"{where} has the type {show(value['type'])}: only functions can be called")
    refuse_unknown(value, set(known), where, ", ".join(known))
    function: dict[str, Any] = value["function"]
    return function


def _name(function: dict[str, Any], where: str) -> str:
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RowProblem(f"{where} has the name {show(name)}: give up to 64 letters, digits, - or _")
    return name


def _arguments(value: object, where: str) -> str:
    """As JSON text, spaced in one way, whether they came as text, as OpenAI writes them, or as an object."""
    if isinstance(value, str):
        try:
            value = STRICT_JSON.decode(value)
        except (ValueError, RecursionError) as error:
            raise RowProblem(f"{where} has arguments that are not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RowProblem(f"{where} has the arguments {show(value)}: give a JSON object, as text or as it is")
    return _write(value, f"{where}.arguments")


def _write(value: dict[str, Any], where: str) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise RowProblem(f"{where} is nested too deeply") from None
    except (TypeError, ValueError) as error:  # Parquet knows dates, bytes and infinities.
        raise RowProblem(f"{where} holds what JSON cannot: {error}") from None
    check_text(text, where)
    return text
