"""Attention over packed rows: segments laid end to end, each of which sees itself and what it goes on from.

Registered with transformers under the name `PACKED_ATTENTION`, so that any of its model classes runs on
packs. A forward pass hands over a `PackedLayout` as the keyword argument `layout`; what a layout does is
up to it, which is how the engine brings a key/value cache to the very same model classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface

PACKED_ATTENTION = "tunewise_packed"


class AttentionLayout(Protocol):
    """Knows which tokens of a pack see which."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attend within one layer.

        `query` is [T, heads, d], `key` and `value` [T, kv_heads, d] for the T tokens of the pack, rotary
        embedding applied. Returns [T, heads, d].
        """


class PackedLayout:
    """Causal segments, each of which sees its ancestors and itself.

    Segments of one parent and of similar length are attended together as one right-padded batch: with a
    causal mask no token sees the padding after it, so padding changes nothing. Grouping by powers of two
    bounds the padding to half.
    """

    def __init__(
        self, lengths: Sequence[int], device: torch.device | str = "cpu", parents: Sequence[int | None] = ()
    ) -> None:
        """`parents` gives for each segment the earlier one that it goes on from, if any; by default none."""
        starts = [0, *accumulate(lengths)]
        contexts: list[list[int]] = []
        alike: dict[tuple[int, int], list[int]] = {}
        for index, (length, parent) in enumerate(zip_longest(lengths, parents)):
            before = [] if parent is None else [*contexts[parent], *range(starts[parent], starts[parent + 1])]
            contexts.append(before)
            kind = (-1 if parent is None else parent, max(length - 1, 0).bit_length())
            alike.setdefault(kind, []).append(index)
        self.num_tokens = starts[-1]
        self._buckets = [
            _make_bucket([starts[i] for i in group], [lengths[i] for i in group], contexts[group[0]], device)
            for _, group in sorted(alike.items())
        ]
        self._grid = torch.cat([bucket.grid.flatten() for bucket in self._buckets])
        filled = torch.cat([bucket.filled.flatten() for bucket in self._buckets])
        self._home = torch.empty(self.num_tokens, dtype=torch.long, device=device)
        self._home[self._grid[filled]] = filled.nonzero()[:, 0]
        self._contexts = [bucket.context for bucket in self._buckets]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """See `AttentionLayout`; every layer is treated alike."""
        del layer
        sizes = [bucket.grid.numel() for bucket in self._buckets]
        sizes_seen = [*sizes, *map(len, self._contexts)]
        queries = torch.split(self._spread(query, []), sizes)
        keys, values = (
            torch.split(self._spread(states, self._contexts), sizes_seen) for states in (key, value)
        )
        outputs = []
        for bucket, q, k, v, before_k, before_v in zip(
            self._buckets, queries, keys, values, keys[len(sizes) :], values[len(sizes) :], strict=False
        ):
            outputs.append(bucket.attend(q, (before_k, k), (before_v, v), scaling))
        collected: Tensor = _Collect.apply(torch.cat(outputs), self._home)  # type: ignore[no-untyped-call]
        return collected

    def _spread(self, states: Tensor, contexts: list[Tensor]) -> Tensor:
        """The states of all grids' places, one after the other, and behind them those of the contexts."""
        spread: Tensor = _Spread.apply(  # type: ignore[no-untyped-call]
            states, torch.cat([self._grid, *contexts]), self._home, contexts
        )
        return spread


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Segments of one parent and of similar length, as a padded grid."""

    grid: Tensor
    """[segments, longest]: index into the pack; the places after a segment's end repeat its last token."""
    filled: Tensor
    """[segments, longest]: whether a place holds a token."""
    context: Tensor
    """[c]: the tokens of their ancestors, which all of them see."""
    mask: Tensor | None
    """[longest, c + longest]: who sees whom, where that is not just causal."""

    def attend(
        self, query: Tensor, keys: tuple[Tensor, Tensor], values: tuple[Tensor, Tensor], scaling: float
    ) -> Tensor:
        """`query` is [segments * longest, heads, d]; keys and values: the context's, then their own."""
        rows, longest = self.grid.shape
        key, value = (
            torch.cat((before.expand(rows, *before.shape), own.view(rows, longest, *own.shape[1:])), dim=1)
            for before, own in (keys, values)
        )
        attended = F.scaled_dot_product_attention(
            query.view(rows, longest, *query.shape[1:]).transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=self.mask,
            is_causal=self.mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[2],
        )
        return attended.transpose(1, 2).flatten(0, 1)


def _make_bucket(
    starts: list[int], lengths: list[int], context: list[int], device: torch.device | str
) -> _Bucket:
    longest = max(lengths)
    offset, length = torch.arange(longest), torch.tensor(lengths)[:, None]
    grid = torch.tensor(starts)[:, None] + torch.minimum(offset, length - 1)
    mask = torch.ones(longest, len(context) + longest, dtype=torch.bool).tril(len(context))
    return _Bucket(
        grid.to(device),
        (offset < length).to(device),
        torch.tensor(context, dtype=torch.long, device=device),
        mask.to(device) if context else None,
    )


class _Spread(torch.autograd.Function):
    """Copies each token's state to its place, and those of the contexts to where they are seen from."""

    @staticmethod
    def forward(context: Any, states: Tensor, index: Tensor, home: Tensor, contexts: list[Tensor]) -> Tensor:
        context.save_for_backward(home)
        context.contexts = contexts
        return states.index_select(0, index)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (home,) = context.saved_tensors
        # No gradient reaches the padding: no token that is collected sees it.
        grad_states = grad.index_select(0, home)
        if context.contexts:
            sizes = [len(tokens) for tokens in context.contexts]
            parts = torch.split(grad[len(grad) - sum(sizes) :], sizes)
            for tokens, part in zip(context.contexts, parts, strict=True):
                grad_states.index_add_(0, tokens, part)
        return grad_states, None, None, None


class _Collect(torch.autograd.Function):
    """Takes each token's state from its place."""

    @staticmethod
    def forward(context: Any, places: Tensor, home: Tensor) -> Tensor:
        context.save_for_backward(home)
        context.num_places = len(places)
        return places.index_select(0, home)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None]:
        (home,) = context.saved_tensors
        return grad.new_zeros(context.num_places, *grad.shape[1:]).index_copy_(0, home, grad), None


def _packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    layout: AttentionLayout | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """The signature transformers calls: query [1, heads, T, d] in, [1, T, heads, d] out."""
    del attention_mask, dropout
    if layout is None:
        raise RuntimeError(f"{PACKED_ATTENTION} needs the keyword argument `layout`")
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    return layout.attend(module.layer_idx, q, k, v, scaling).unsqueeze(0), None


def _no_mask(*_: Any, **__: Any) -> None:
    """The layout knows who sees whom; transformers needs to build no mask."""


AttentionInterface.register(PACKED_ATTENTION, _packed_attention)
AttentionMaskInterface.register(PACKED_ATTENTION, _no_mask)
