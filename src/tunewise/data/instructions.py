"""Whether system messages are the instruction of all rows, which a prompt sends, or input of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunewise.records import Example

# From this share on, a message is that of all rows, and whatever deviates is taken for a slip.
NEARLY_ALL = 0.95


def system_messages_vary(examples: Sequence[Example]) -> bool:
    """Whether no system message is that of nearly all rows, so that each is a part of its row's input.

    A row without one has the message of the others, if most have that.
    """
    counts = Counter(example.instruction for example in examples)
    if not counts:
        return False
    commonest, number = counts.most_common(1)[0]
    silent = 0 if commonest is None else counts[None]
    return number + silent < NEARLY_ALL * len(examples)


def common_instruction(train: Sequence[Example]) -> str | None:
    """The system message that most rows open with; None without such, and where rows keep their own."""
    if any(example.own_system for example in train):
        return None
    counts = Counter(example.instruction for example in train)
    return next((message for message, count in counts.items() if 2 * count > len(train)), None)
