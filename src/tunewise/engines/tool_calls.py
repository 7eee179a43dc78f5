"""Tool calls, told apart from the text of an answer while it is written."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

from tunewise.chat.tools import OPENING, read_calls
from tunewise.engines.base import Delta
from tunewise.records import ToolCall


class ToolCallDeltas:
    """Stands before `deliver`: of an answer as it is written, it passes on the text and whole calls."""

    def __init__(self, deliver: Callable[[Delta | BaseException], None]) -> None:
        self._deliver = deliver
        self._written = ""
        self._num_sent = 0
        """Characters of the text."""
        self._calls: list[ToolCall] = []

    def __call__(self, delta: Delta | BaseException) -> None:
        """Take what the engine delivers next."""
        if isinstance(delta, BaseException):
            self._deliver(delta)
            return
        completion = delta.completion
        if completion is None:
            self._written += delta.text
            self._send(delta, _held_back(self._written))
            return
        if self._written:
            self._send(Delta("", index=delta.index), 0)
        text = self._read(completion.text)
        calls = tuple(self._calls)
        reason = "tool_calls" if calls and completion.finish_reason == "stop" else completion.finish_reason
        whole = replace(completion, text=text, tool_calls=calls, finish_reason=reason)
        self._deliver(replace(delta, completion=whole))

    def _send(self, delta: Delta, num_held_back: int) -> None:
        """Pass on what is new in what is written so far."""
        num_known = len(self._calls)
        text = self._read(self._written)
        piece, calls = text[self._num_sent : len(text) - num_held_back], tuple(self._calls[num_known:])
        self._num_sent += len(piece)
        if piece or calls or delta.logprobs:
            self._deliver(replace(delta, text=piece, tool_calls=calls))

    def _read(self, written: str) -> str:
        """The text; calls that are new go to those that are known."""
        text, calls = read_calls(written)
        for name, arguments in calls[len(self._calls) :]:
            self._calls.append(ToolCall(f"call_{uuid.uuid4().hex}", name, arguments))
        return text


def _held_back(written: str) -> int:
    """How many characters of the end may turn out to be the beginning of a first call."""
    if OPENING in written:
        return 0
    beginnings = [marker[:size] for marker in (OPENING, f"\n{OPENING}") for size in range(len(marker))]
    return max(len(beginning) for beginning in beginnings if written.endswith(beginning))
