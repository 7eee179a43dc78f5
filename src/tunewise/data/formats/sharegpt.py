"""Conversations as ShareGPT's exports have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import decode_text, read_system, read_tools
from tunewise.data.row_problems import RowProblem, names, show

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
}


class ShareGPT:
    """`{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}`."""

    name = "sharegpt"
    fields = ("conversations", "system", "tools", "parallel_tool_calls")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has conversations."""
        return "conversations" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Each turn under OpenAI's names; those that have them already stay as they are."""
        turns = decode_text(row.get("conversations"), "conversations")
        if not isinstance(turns, list):
            raise RowProblem(f'"conversations" is {show(turns)}: give a list of turns')
        messages = [_message(turn, f"conversations[{index}]") for index, turn in enumerate(turns)]
        return {"messages": [*read_system(row), *messages], **read_tools(row)}


def _message(turn: Any, where: str) -> Any:
    if isinstance(turn, dict) and "role" in turn:
        return turn
    if not isinstance(turn, dict) or "value" not in turn:
        has = f" (it has: {names(turn)})" if isinstance(turn, dict) else ""
        raise RowProblem(f"{where} is {show(turn)}{has}: give an object with from and value")
    speaker = turn.get("from")
    if not isinstance(speaker, str) or speaker not in _ROLES:
        known = ", ".join(_ROLES)
        raise RowProblem(
            f"{where} is from {show(speaker)}: use one of {known}; calls need OpenAI's rows", "roles"
        )
    message = {"role": _ROLES[speaker], "content": turn["value"]}
    return message | {"weight": turn["weight"]} if "weight" in turn else message
