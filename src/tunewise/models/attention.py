"""Attention over packed rows: many sequences laid end to end, none of which sees another.

Registered with transformers under the name `PACKED_ATTENTION`, so that any of its model classes runs on
packs. A forward pass hands over a `PackedLayout` as the keyword argument `layout`; what a layout does is
up to it, which is how the engine brings a key/value cache to the very same model classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Segments of similar length, as a padded grid of token indices."""

    grid: Tensor
    """[segments, longest]: index into the pack; the places after a segment's end repeat its last token."""
    filled: Tensor
    """[segments, longest]: whether a place holds a token."""
    tokens: Tensor
    """The indices of the tokens in `grid`, in row order."""


class PackedLayout:
    """Independent causal segments.

    Segments of similar length are attended together as one right-padded batch: with a causal mask no
    token sees the padding after it, so padding changes nothing and needs no mask. Grouping by powers of
    two bounds the padding to half.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        starts, total = [], 0
        for length in lengths:
            starts.append(total)
            total += length
        by_size: dict[int, list[int]] = {}
        for index, length in enumerate(lengths):
            by_size.setdefault(max(length - 1, 0).bit_length(), []).append(index)
        self.num_tokens = total
        self._buckets = [
            _make_bucket([starts[i] for i in members], [lengths[i] for i in members], device)
            for _, members in sorted(by_size.items())
        ]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """See `AttentionLayout`; every layer is treated alike."""
        del layer
        grouped = query.shape[1] != key.shape[1]
        outputs = []
        for bucket in self._buckets:
            q, k, v = (states[bucket.grid].transpose(1, 2) for states in (query, key, value))
            attended = F.scaled_dot_product_attention(
                q, k, v, is_causal=True, scale=scaling, enable_gqa=grouped
            )
            outputs.append(attended.transpose(1, 2)[bucket.filled])
        if len(outputs) == 1:
            return outputs[0]
        order = torch.cat([bucket.tokens for bucket in self._buckets])
        return torch.empty_like(query).index_copy(0, order, torch.cat(outputs))


def _make_bucket(starts: list[int], lengths: list[int], device: torch.device | str) -> _Bucket:
    offset = torch.arange(max(lengths))
    length = torch.tensor(lengths)[:, None]
    grid = torch.tensor(starts)[:, None] + torch.minimum(offset, length - 1)
    filled = offset < length
    return _Bucket(grid.to(device), filled.to(device), grid[filled].to(device))


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
