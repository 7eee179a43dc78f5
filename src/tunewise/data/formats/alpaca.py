"""Rows as Stanford's Alpaca has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import read_optional_text, read_system, read_text
from tunewise.data.row_problems import RowProblem, absent, show


class Alpaca:
    """`{"instruction", "input", "output", "system", "history"}`, all but instruction and output optional."""

    name = "alpaca"
    fields = ("instruction", "input", "output", "system", "history")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has an instruction."""
        return "instruction" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Instruction and input are one turn, a blank line between them.

        The instruction is no system message, as it is what differs from row to row, and a tuned model is
        asked without a system message.
        """
        asked = [read_text(row, "instruction"), read_optional_text(row, "input")]
        return {
            "messages": [
                *read_system(row),
                *_history(row.get("history")),
                {"role": "user", "content": "\n\n".join(text for text in asked if text is not None)},
                {"role": "assistant", "content": read_text(row, "output")},
            ]
        }


def _history(pairs: Any) -> list[Any]:
    """The turns before, as LLaMA-Factory writes them: pairs of a question and its answer."""
    if absent(pairs):
        return []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise RowProblem(f'"history" is {show(pairs)}: give a list of pairs, each a question and its answer')
    return [
        {"role": role, "content": content}
        for pair in pairs
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
