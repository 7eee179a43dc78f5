"""Which examples are the same, but for spacing too, and which have to stay on one side of a split.

Used right after reading: a model that has seen a test input in training is not being tested.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from json.encoder import encode_basestring, encode_basestring_ascii

from tunewise.data.fixes import has_indented_lines
from tunewise.records import Example, Message, Tool


def example_id(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the conversation's canonical JSON.

    The ids of calls are left out: they only tie results to calls, whose order says the same.
    """
    turns = f"[{','.join(map(_canonical_turn, messages))}]"
    canonical = (
        f'{{"messages":{turns},"tools":{_canonical([asdict(tool) for tool in tools])}}}' if tools else turns
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()[:16]


def _canonical_turn(message: Message) -> str:
    if not message.tool_calls:  # The same text as the encoder's, which is slow to start.
        content = encode_basestring(message.content)
        return f'{{"content":{content},"role":"{message.role}","weight":{message.weight}}}'
    calls = [{"name": call.name, "arguments": call.arguments} for call in message.tool_calls]
    return _canonical(
        {"content": message.content, "role": message.role, "weight": message.weight, "tool_calls": calls}
    )


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def remove_exact_duplicates(examples: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, dropped): of the examples with one id, which is one conversation, the first is kept."""
    return _keep_first(examples, lambda example: example.id)


def remove_respaced(examples: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, dropped): of the examples with one answer whose inputs differ in white space alone, the first.

    They are one question asked twice: trained on twice it counts twice, and takes the time of another. Where
    lines are indented, white space says something, and such texts are compared as they are. Exact duplicates
    are dropped as well.
    """
    return _keep_first(examples, _respaced_id)


def differ_in_spacing(one: Example, other: Example) -> bool:
    """Whether `remove_respaced` takes them for one, though they are not word for word the same."""
    return one.id != other.id and _respaced_id(one) == _respaced_id(other)


def _keep_first(
    examples: Iterable[Example], key: Callable[[Example], str]
) -> tuple[list[Example], list[Example]]:
    kept: dict[str, Example] = {}
    dropped: list[Example] = []
    for example in examples:
        if kept.setdefault(key(example), example) is not example:
            dropped.append(example)
    return list(kept.values()), dropped


def _respaced_id(example: Example) -> str:
    """The `example_id` that it would have with single spaces in what it is asked."""
    turns = [
        replace(turn, content=_single_spaced(turn.content)) if turn.role in ("system", "user") else turn
        for turn in example.messages
    ]
    return example_id(turns, example.tools)


def _single_spaced(text: str) -> str:
    return text if has_indented_lines(text.strip()) else " ".join(text.split())


def key_of(example: Example) -> str:
    """The `input_key` of its turns."""
    return input_key(example.turns, with_system=example.own_system)


def input_key(prompt: Iterable[Message], *, with_system: bool = False) -> str:
    """A hash that inputs share when they differ only in case, spacing, punctuation or their system message.

    The system message is left out where it is the instruction: the same question under a reworded
    instruction must not be trained on and then tested.
    """
    turns = (
        f'["{m.role}", {encode_basestring_ascii(normalise(m.content))}]'
        for m in prompt
        if with_system or m.role != "system"
    )
    # The same text as json.dumps would write, without a new encoder for each row.
    return hashlib.sha256(f"[{', '.join(turns)}]".encode("ascii")).hexdigest()[:16]


def normalise(text: str) -> str:
    """NFKC and case-folded, keeping only letters, marks, digits and symbols (so `€`, `+` and emoji stay).

    Text of punctuation alone keeps that punctuation: "?" and "!" are different inputs.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept = folded.translate(_KEPT)
    return kept or "".join(folded.split())


class _KeptCharacters(dict[int, int | None]):
    """For `str.translate`: each character is looked up once, then remembered."""

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMNS" else None
        return self[code]


_KEPT = _KeptCharacters()


def join_groups(examples: Sequence[Example], user_groups: Sequence[str]) -> list[Example]:
    """The same examples, in groups that respect both the user's groups and equal inputs.

    `user_groups[i]` is the user's group of `examples[i]`, whose `group` still is its `input_key`. Two
    examples end in one group when a chain of shared user groups and shared inputs links them (union-find).
    A group is named after the smallest of the user's names in it, whatever the order of the rows.
    """
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for example, user_group in zip(examples, user_groups, strict=True):
        # 0 sorts the user's names before the hashes (1), so that the smallest, the root, is one of them.
        low, high = sorted((root((0, user_group)), root((1, example.group))))
        parent[high] = low
    return [replace(example, group=root((1, example.group))[1]) for example in examples]
