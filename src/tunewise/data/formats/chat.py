"""OpenAI's chat rows, the shape that all others become."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewise.data.formats.fields import decode_text
from tunewise.data.row_problems import RowProblem, names


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
                "which fields hold question and answer, such as --columns question=prompt,answer=completion"
            )
        if isinstance(row["messages"], str) or isinstance(row.get("tools"), str):
            return {**row} | {
                name: decode_text(row[name], name) for name in ("messages", "tools") if name in row
            }
        return row
