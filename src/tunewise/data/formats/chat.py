"""OpenAI's chat rows, the shape that all others become."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import decode_text
from tunewise.data.row_problems import RowProblem, names

# A longer one is a row of a table without a header.
_NAME = re.compile(r"[^,=\s][^,=\n]{0,39}")


class Chat:
    """`{"messages": [{"role", "content", "weight", "tool_calls"}], "tools": [...]}`."""

    name = "chat"
    fields = ("messages", "tools", "parallel_tool_calls")

    def recognises(self, row: Mapping[str, Any]) -> bool:
        """It has messages."""
        return "messages" in row

    def to_chat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row itself; what a table holds as JSON text becomes what the text says."""
        if "messages" not in row:
            raise RowProblem(
                f'no "messages" (the row has: {names(row)}): give {{"messages": [...]}}, or say '
                f"which fields hold question and answer, such as --columns {_columns_to_try(row)}"
            )
        if isinstance(row["messages"], str) or isinstance(row.get("tools"), str):
            return {**row} | {
                name: decode_text(row[name], name) for name in ("messages", "tools") if name in row
            }
        return row


def _columns_to_try(row: Mapping[str, Any]) -> str:
    """The first two fields that hold texts, or else made-up ones."""
    texts = [name for name, value in row.items() if isinstance(value, str) and _NAME.fullmatch(name)]
    question, answer = texts[:2] if len(texts) > 1 else ("question", "answer")
    return shlex.quote(f"{question}=prompt,{answer}=completion")
