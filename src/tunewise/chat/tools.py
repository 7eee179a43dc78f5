"""How functions are described to a model, how it calls them, and how its calls are read back.

The convention is the one of Hermes, which SmolLM2 and Qwen follow too: the system message lists the functions
between `<tools>` tags, and a call is a JSON object between tags of its own.

    <tool_call>
    {"name": "weather", "arguments": {"city": "Paris"}}
    </tool_call>
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from tunewise.records import Message, Tool, ToolCall

OPENING = "<tool_call>"
CLOSING = "</tool_call>"
BEFORE_NAME = '{"name": "'
BEFORE_ARGUMENTS = '", "arguments": '

_CALL = re.compile(rf"{OPENING}\s*{re.escape(BEFORE_NAME)}([^\"]+){BEFORE_ARGUMENTS}")


def describe_tool(tool: Tool) -> dict[str, Any]:
    """As OpenAI's API and the chat templates that know tools take it."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function | {"parameters": json.loads(tool.parameters)}}


def describe_message(message: Message) -> dict[str, Any]:
    """As the chat templates take it: arguments are objects there, not text."""
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def spell_out_tools(messages: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    """The same conversation for a template that knows no tools: in system, user and assistant turns alone.

    The results that follow a turn are one user turn, as many templates want user and assistant to alternate.
    """
    turns: list[Message] = []
    for role, same_role in groupby(messages, key=lambda message: message.role):
        if role == "tool":
            results = [f"<tool_response>\n{message.content}\n</tool_response>" for message in same_role]
            turns.append(Message("user", "\n".join(results)))
        else:
            turns += [_spell_out_calls(message) for message in same_role]
    if not tools:
        return turns
    if turns and turns[0].role == "system":
        return [Message("system", f"{turns[0].content}\n\n{_describe(tools)}"), *turns[1:]]
    return [Message("system", _describe(tools)), *turns]


def read_calls(answer: str) -> tuple[str, list[tuple[str, str]]]:
    """The text before the first call, and the name and the arguments of each call that is whole."""
    calls: list[tuple[str, str]] = []
    for head in _CALL.finditer(answer):
        try:
            _, end = json.JSONDecoder().raw_decode(answer, head.end())
        except (ValueError, RecursionError):  # Not whole, or deeper than anyone can read.
            continue
        calls.append((head[1], answer[head.end() : end]))
    text, opening, _ = answer.partition(OPENING)
    return text.removesuffix("\n") if opening else text, calls


def _spell_out_calls(message: Message) -> Message:
    calls = [_write_call(call) for call in message.tool_calls]
    text = "\n".join([message.content, *calls] if message.content else calls)
    return replace(message, content=text, tool_calls=()) if calls else message


def _write_call(call: ToolCall) -> str:
    arguments = json.dumps(json.loads(call.arguments), ensure_ascii=False)
    return f"{OPENING}\n{BEFORE_NAME}{call.name}{BEFORE_ARGUMENTS}{arguments}}}\n{CLOSING}"


def _describe(tools: Sequence[Tool]) -> str:
    described = [json.dumps(describe_tool(tool), ensure_ascii=False) for tool in tools]
    return "\n".join(
        [
            "You can call functions. Each line between the tools tags describes one, with the JSON schema of "
            "its arguments:",
            "<tools>",
            *described,
            "</tools>",
            "To call a function, write its name and its arguments in this form, once for each call:",
            OPENING,
            f'{BEFORE_NAME}<name>{BEFORE_ARGUMENTS}{{"<argument>": <value>}}}}',
            CLOSING,
        ]
    )
