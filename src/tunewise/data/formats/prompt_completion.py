"""Rows of a question and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import read_system, read_tools, read_turns


class PromptCompletion:
    """`{"prompt", "completion", "system"}`, each a text, or messages as TRL writes them."""

    name = "prompt-completion"
    fields = ("prompt", "completion", "system", "tools", "parallel_tool_calls")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has either."""
        return "prompt" in row or "completion" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """System, user and assistant."""
        prompt, completion = read_turns(row, "prompt", "user"), read_turns(row, "completion", "assistant")
        return {"messages": [*read_system(row), *prompt, *completion], **read_tools(row)}
