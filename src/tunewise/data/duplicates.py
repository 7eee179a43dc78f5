"""Which examples are the same, but for spacing too, and which have to stay on one side of a split.

Used right after reading: a model that has seen a test input in training is not being tested.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from json.encoder import encode_basestring_ascii

from tunewise.data.fixes import has_indented_lines
from tunewise.records import Example, Message


def remove_exact_duplicates(examples: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, dropped): of the examples with one id, which is one conversation, the first is kept."""
    kept: dict[str, Example] = {}
    dropped: list[Example] = []
    for example in examples:
        if kept.setdefault(example.id, example) is not example:
            dropped.append(example)
    return list(kept.values()), dropped


def remove_respaced(examples: Iterable[Example]) -> tuple[list[Example], list[Example]]:
    """(kept, dropped): of the examples with one answer whose inputs differ in white space alone, the first.

    They are one question asked twice: trained on twice it counts twice, and takes the time of another. Where
    lines are indented, white space says something, and such texts are compared as they are. Exact duplicates
    are dropped as well.
    """
    kept: dict[str, Example] = {}
    dropped: list[Example] = []
    for example in examples:
        if kept.setdefault(_respaced_key(example), example) is not example:
            dropped.append(example)
    return list(kept.values()), dropped


def differ_in_spacing(one: Example, other: Example) -> bool:
    """Whether `remove_respaced` takes them for one, though they are not word for word the same."""
    return one.id != other.id and _respaced_key(one) == _respaced_key(other)


def _respaced_key(example: Example) -> str:
    # A hash: the texts of all rows at once would not fit into memory.
    turns = [
        (
            turn.role,
            _single_spaced(turn.content) if turn.role in ("system", "user") else turn.content,
            turn.weight,
            [(call.name, call.arguments) for call in turn.tool_calls],
        )
        for turn in example.messages
    ]
    return hashlib.sha256(repr((turns, example.tools)).encode("ascii", "backslashreplace")).hexdigest()[:16]


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
