"""Rows of a question and two answers, of which people preferred one: that one is what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import read_system, read_tools, read_turns
from tunewise.data.row_problems import RowProblem, show


class Preference:
    """TRL's and most data sets': `{"prompt", "chosen", "rejected"}`, each a text or messages."""

    name = "preference"
    fields = ("prompt", "chosen", "rejected", "system", "tools", "parallel_tool_calls")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has a chosen answer."""
        return "chosen" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The prompt and the chosen answer; messages of `chosen` may repeat the prompt, or stand for it."""
        chosen = read_turns(row, "chosen", "assistant")
        prompt = [] if _is_conversation(chosen) else read_turns(row, "prompt", "user")
        return {"messages": [*read_system(row), *prompt, *chosen], **read_tools(row)}


class OpenAIPreference:
    """OpenAI's: `{"input": {"messages", "tools"}, "preferred_output", "non_preferred_output"}`."""

    name = "openai-preference"
    fields = ("input", "preferred_output", "non_preferred_output")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has a preferred output."""
        return "preferred_output" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The input's messages and the preferred answer."""
        asked = row.get("input")
        if not isinstance(asked, dict):
            raise RowProblem(f'"input" is {show(asked)}: give an object with "messages"')
        prompt = read_turns(asked, "messages", "user")
        return {"messages": [*prompt, *read_turns(row, "preferred_output", "assistant")], **read_tools(asked)}


def _is_conversation(turns: list[Any]) -> bool:
    first = turns[0] if turns else None
    return isinstance(first, dict) and first.get("role") != "assistant"
