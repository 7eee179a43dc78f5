"""Several examples in one row, without padding: what a training step computes on.

Where examples begin with the same tokens, those are computed once. So a pack is a forest of segments, each
of which goes on where its parent ends; without anything shared, every example is one segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from tunewise.chat.template import TokenizedExample

WORTH_SHARING_TOKENS = 16
"""A common beginning is computed once if that saves so many tokens; each makes attention a little dearer."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Segments laid end to end; T tokens, and N predictions of trained tokens."""

    input_ids: Tensor
    """[1, T]. The last token of an example is only ever a target, so it is left out here."""
    position_ids: Tensor
    """[1, T]: counted within each example."""
    lengths: tuple[int, ...]
    """Tokens of each segment in `input_ids`."""
    parents: tuple[int | None, ...]
    """For each segment the earlier one, by its index, that its examples share before it."""
    predicting: Tensor
    """[N]: indices into the T tokens whose prediction carries loss, example by example in their order.

    Several examples may predict from the same shared token.
    """
    targets: Tensor
    """[N]: the token each of them has to predict."""

    @property
    def num_tokens(self) -> int:
        """T."""
        return int(self.input_ids.shape[1])


def pack_examples(examples: Sequence[TokenizedExample], device: torch.device | str = "cpu") -> Pack:
    """Lay examples end to end. Each needs at least one trained token, and a token before it."""
    inputs = [example.ids[:-1] for example in examples]
    segments, places = _share_beginnings(inputs)
    predicting: list[int] = []
    targets: list[int] = []
    for example, place in zip(examples, places, strict=True):
        trained = [i for i in range(1, len(example.ids)) if example.trained[i]]
        predicting += [place[i - 1] for i in trained]
        targets += [example.ids[i] for i in trained]
    return Pack(
        input_ids=torch.tensor([[token for s in segments for token in s.ids]], device=device),
        position_ids=torch.tensor(
            [[s.start + i for s in segments for i in range(len(s.ids))]], device=device
        ),
        lengths=tuple(len(segment.ids) for segment in segments),
        parents=tuple(segment.parent for segment in segments),
        predicting=torch.tensor(predicting, device=device),
        targets=torch.tensor(targets, device=device),
    )


def split_by_tokens(examples: Sequence[TokenizedExample], max_tokens: int) -> list[list[int]]:
    """Cut a batch into micro-batches, as indices, of at most `max_tokens` computed tokens.

    Examples are ordered by their ids, so that those with a common beginning meet. A longer one stands alone.
    """
    inputs = [example.ids[:-1] for example in examples]
    batches: list[list[int]] = []
    for index in sorted(range(len(inputs)), key=inputs.__getitem__):
        if batches and _num_computed([inputs[i] for i in [*batches[-1], index]]) <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


@dataclass(frozen=True, slots=True)
class _Segment:
    ids: list[int]
    start: int
    """The position of its first token."""
    parent: int | None


def _share_beginnings(inputs: Sequence[list[int]]) -> tuple[list[_Segment], list[list[int]]]:
    """The segments that make up `inputs`, and where each token of each input then lies."""
    segments: list[_Segment] = []
    places: list[list[int]] = [[] for _ in inputs]
    num_tokens = 0
    order = sorted(range(len(inputs)), key=inputs.__getitem__)
    # Groups of inputs whose tokens before `start` are the same and laid out already. Sorted, what the first
    # and the last of a group have in common is common to all.
    groups: list[tuple[list[int], int, int | None]] = [(order, 0, None)] if order else []
    while groups:
        members, start, parent = groups.pop()
        first = inputs[members[0]]
        end = _common_length(first, inputs[members[-1]])
        saved = (end - start) * (len(members) - 1)
        if end > start and (len(members) == 1 or saved >= WORTH_SHARING_TOKENS):
            for member in members:
                places[member] += range(num_tokens, num_tokens + end - start)
            num_tokens += end - start
            segments.append(_Segment(first[start:end], start, parent))
            start, parent = end, len(segments) - 1
        if len(members) > 1:
            parts = [list(part) for _, part in groupby(members, key=lambda i: inputs[i][end : end + 1])]
            # Those that end here are no group: nothing follows that they could have in common.
            ended = parts.pop(0) if len(first) == end else []
            groups += [(part, start, parent) for part in reversed([*([i] for i in ended), *parts])]
    return segments, places


def _num_computed(inputs: Sequence[list[int]]) -> int:
    return sum(len(segment.ids) for segment in _share_beginnings(inputs)[0])


def _common_length(first: list[int], second: list[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))
