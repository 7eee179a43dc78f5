"""The rows of the cache, and what a new prompt may copy from them instead of computing it."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from tunewise.engines.sequence import Sequence

MIN_SHARED_PREFIX = 16
"""Copying a shorter beginning from another slot saves less than it costs."""


class Slot:
    """A row of the cache: who is in it, and which tokens of which weights its first positions hold."""

    def __init__(self) -> None:
        self.sequence: Sequence | None = None
        self.weights = 0
        """As `Sequence.weights`."""
        self.ids: list[int] = []
        self.last_used = 0

    def clear(self) -> None:
        """Forget who was in it and what it holds."""
        self.sequence, self.ids = None, []


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """The longest beginning of a prompt that some slot holds: its first `num_tokens`, in slot `source`."""

    source: int
    """-1 where no slot holds enough of it."""
    num_tokens: int
    is_growing: bool
    """Whether another sequence is just computing a longer one."""


def find_shared_prefix(slots: SequenceOf[Slot], sequence: Sequence) -> SharedPrefix:
    """What `sequence` can copy from the slots that its own weights computed."""
    # The last prompt token is always computed: its logits are needed.
    wanted = sequence.ids[: sequence.num_prompt - 1]
    source, shared, growing = -1, MIN_SHARED_PREFIX - 1, MIN_SHARED_PREFIX - 1
    for index, slot in enumerate(slots):
        if slot.weights != sequence.weights:
            continue
        other = slot.sequence
        length = _common_prefix(wanted, slot.ids if other is None else other.ids[: other.num_cached])
        if length > shared:
            source, shared = index, length
        if other is not None and other.num_cached < other.num_prompt:
            growing = max(growing, _common_prefix(wanted, other.ids[: other.num_prompt]))
    return SharedPrefix(source, shared if source >= 0 else 0, growing > shared)


def _common_prefix(first: list[int], second: list[int]) -> int:
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(i for i in range(length) if first[i] != second[i])
