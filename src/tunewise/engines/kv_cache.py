"""Keys and values of the sequences under way, and the attention that reads them.

Each sequence has a slot, a row of one preallocated tensor, so that a whole decoding step is one attention
call per layer without copying what is cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

CAPACITY_STEP = 128
"""Slots grow in steps of this many tokens."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one sequence computed in one step: positions `start` to `end` of the sequence in `slot`."""

    slot: int
    start: int
    end: int


class KVCache:
    """[layers, 2, slots, kv_heads, capacity, head_dim]; grows in both slots and capacity as needed."""

    def __init__(
        self, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        # Zeros, not empty: what is masked away is still multiplied by 0, and 0 times NaN is NaN.
        self.states = torch.zeros(layers, 2, 0, kv_heads, 0, head_dim, dtype=dtype, device=device)

    @property
    def bytes_per_token(self) -> int:
        """What one token of one slot takes."""
        layers, two, _, kv_heads, _, head_dim = self.states.shape
        return layers * two * kv_heads * head_dim * self.states.element_size()

    @property
    def num_slots(self) -> int:
        """How many slots there is memory for."""
        return self.states.shape[2]

    def bytes_for(self, slots: int, tokens: int) -> int:
        """What the cache will take once there is room for `slots` slots of at least `tokens` tokens."""
        slots, capacity = self._grown(slots, tokens)
        return slots * capacity * self.bytes_per_token

    def reserve(self, slots: int, tokens: int) -> None:
        """Make room for `slots` slots of at least `tokens` tokens; what is cached stays."""
        layers, two, old_slots, kv_heads, old_capacity, head_dim = self.states.shape
        slots, capacity = self._grown(slots, tokens)
        if (slots, capacity) == (old_slots, old_capacity):
            return
        grown = self.states.new_zeros(layers, two, slots, kv_heads, capacity, head_dim)
        grown[:, :, :old_slots, :, :old_capacity] = self.states
        self.states = grown

    def clear(self) -> None:
        """Give all memory back."""
        layers, two, _, kv_heads, _, head_dim = self.states.shape
        self.states = self.states.new_zeros(layers, two, 0, kv_heads, 0, head_dim)

    def _grown(self, slots: int, tokens: int) -> tuple[int, int]:
        capacity = -(-tokens // CAPACITY_STEP) * CAPACITY_STEP
        # Doubling the slots keeps the copying of what is cached to a constant share.
        if slots > self.num_slots:
            slots = max(slots, 2 * self.num_slots)
        return max(slots, self.num_slots), max(capacity, self.states.shape[4])

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Give slot `target` the first `tokens` tokens of slot `source`."""
        if source != target:
            self.states[:, :, target, :, :tokens] = self.states[:, :, source, :, :tokens]


class CachedLayout:
    """Attention of one step's chunks over everything cached for their sequences (an `AttentionLayout`).

    Chunks of one token, which is what decoding consists of, are attended together over the slots as they
    lie; longer ones, prompts, one by one.
    """

    def __init__(self, cache: KVCache, chunks: Sequence[Chunk]) -> None:
        device = cache.states.device
        self._states = cache.states
        slots: list[int] = []
        positions: list[int] = []
        decoding: list[int] = []
        self._prompts: list[tuple[int, Chunk]] = []
        for chunk in chunks:
            if chunk.end - chunk.start == 1:
                decoding.append(len(slots))
            else:
                self._prompts.append((len(slots), chunk))
            slots += [chunk.slot] * (chunk.end - chunk.start)
            positions += range(chunk.start, chunk.end)
        self.position_ids = torch.tensor(positions, device=device)
        # Where the new keys go, as rows of one long table: storing is one plain copy a layer.
        _, _, _, kv_heads, capacity, _ = cache.states.shape
        heads = torch.tensor(slots, device=device)[:, None] * kv_heads + torch.arange(kv_heads, device=device)
        self._written = (heads * capacity + self.position_ids[:, None]).flatten()
        self._decoding = torch.tensor(decoding, device=device, dtype=torch.long)
        if decoding:
            self._plan_decoding([slots[i] for i in decoding], [positions[i] + 1 for i in decoding])

    def _plan_decoding(self, slots: list[int], lengths: list[int]) -> None:
        device = self._states.device
        first, end = min(slots), max(slots) + 1
        # A view of all slots from the first to the last costs no copy, but computes the idle ones too.
        self._is_view = 2 * len(slots) >= end - first
        num_rows = end - first if self._is_view else len(slots)
        rows = [slot - first for slot in slots] if self._is_view else list(range(num_rows))
        self._picked = slice(first, end) if self._is_view else torch.tensor(slots, device=device)
        self._is_in_order = rows == list(range(num_rows))
        self._rows, self._num_rows = torch.tensor(rows, device=device), num_rows
        self._longest = max(lengths)
        row_lengths = torch.ones(num_rows, dtype=torch.long, device=device)
        row_lengths[self._rows] = torch.tensor(lengths, device=device)
        hidden = torch.arange(self._longest, device=device) >= row_lengths[:, None]
        bias = self._states.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)
        self._bias = bias[:, None, None, :]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Store the new keys and values, then attend. Shapes as in `AttentionLayout`."""
        keys, values = self._states[layer]
        for states, new in ((keys, key), (values, value)):
            states.view(-1, new.shape[-1]).index_copy_(0, self._written, new.reshape(-1, new.shape[-1]))
        if not self._prompts:
            return self._decode(query, keys, values, scaling)
        output = torch.empty_like(query)
        if len(self._decoding):
            output[self._decoding] = self._decode(query[self._decoding], keys, values, scaling)
        for first, chunk in self._prompts:
            rows = slice(first, first + chunk.end - chunk.start)
            past_keys, past_values = (states[chunk.slot, :, : chunk.end] for states in (keys, values))
            output[rows] = _attend_prompt(query[rows], past_keys, past_values, chunk.start, scaling)
        return output

    def _decode(self, query: Tensor, keys: Tensor, values: Tensor, scaling: float) -> Tensor:
        """One token per sequence: [B, heads, d] over the slots' first `_longest` tokens."""
        kv_heads, head_dim = keys.shape[1], keys.shape[3]
        keys, values = (states[self._picked, :, : self._longest] for states in (keys, values))
        # The query heads that share a key/value head stand in for query positions: no key is copied.
        grid = grouped = query.view(len(query), kv_heads, -1, head_dim)
        if not self._is_in_order:
            grid = query.new_zeros(self._num_rows, *grouped.shape[1:])
            grid[self._rows] = grouped
        attended = _attend_grid(grid, keys, values, self._bias, scaling)
        if not self._is_in_order:
            attended = attended[self._rows]
        return attended.reshape(query.shape)


def _attend_grid(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, scaling: float) -> Tensor:
    """Few queries each over many keys: [B, kv_heads, n, d] over [B, kv_heads, L, d].

    `bias` [B, 1, 1, L] is minus infinity for keys beyond a row's own, and 0 for the others.

    On a CPU, two batched products take half to two thirds of the time of the fused kernel, which is made for
    many queries (`docs/log.md`).
    """
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=scaling)
    scores = torch.matmul(query * scaling, keys.transpose(2, 3)).add_(bias)
    return torch.matmul(torch.softmax(scores, -1), values)


def _attend_prompt(query: Tensor, keys: Tensor, values: Tensor, past: int, scaling: float) -> Tensor:
    """Causal attention of n new tokens over past + n: query [n, heads, d], keys [kv_heads, past + n, d]."""
    mask = None
    if past:
        new, total = query.shape[0], keys.shape[1]
        mask = torch.ones(new, total, dtype=torch.bool, device=query.device).tril(past)
    attended = F.scaled_dot_product_attention(
        query.transpose(0, 1)[None],
        keys[None],
        values[None],
        attn_mask=mask,
        is_causal=mask is None,
        scale=scaling,
        enable_gqa=query.shape[1] != keys.shape[0],
    )
    return attended[0].transpose(0, 1)
