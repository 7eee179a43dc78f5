"""Where system messages go in a prompt: chat templates take one of them, and that first."""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.records import Message


def put_under(instruction: str | None, turns: Sequence[Message]) -> tuple[Message, ...]:
    """The turns under an instruction, to which a system message that they open with is joined."""
    if instruction is None:
        return tuple(turns)
    if turns[0].role == "system":
        return (Message("system", f"{instruction}\n\n{turns[0].content}"), *turns[1:])
    return (Message("system", instruction), *turns)


def fold_system(turns: Sequence[Message]) -> tuple[Message, ...]:
    """Turns that may follow others: the user's first opens with what was their system message."""
    if turns[0].role != "system":
        return tuple(turns)
    system, first, *rest = turns
    return (Message(first.role, f"{system.content}\n\n{first.content}", first.weight), *rest)
