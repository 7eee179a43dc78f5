from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.models.attention import PackedLayout

LENGTHS = [20, 5, 1, 9, 3, 12, 2]
PARENTS = [None, 0, 0, 1, 1, None, 3]


def states(heads: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(LENGTHS), heads, 8, generator=generator, dtype=torch.float64, requires_grad=True)


def one_by_one(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every token over the tokens before it in its segment and in the ancestors."""
    segments = torch.arange(sum(LENGTHS)).split(LENGTHS)
    outputs = []
    for index, own in enumerate(segments):
        before, parent = torch.empty(0, dtype=torch.long), PARENTS[index]
        while parent is not None:
            before, parent = torch.cat((segments[parent], before)), PARENTS[parent]
        for place, token in enumerate(own):
            seen = torch.cat((before, own[: place + 1]))
            q, k, v = query[token], key[seen], value[seen]
            k, v = (x.repeat_interleave(len(q) // x.shape[1], dim=1) for x in (k, v))
            weights = torch.softmax(torch.einsum("hd,shd->hs", q, k) * 0.3, -1)
            outputs.append(torch.einsum("hs,shd->hd", weights, v))
    return torch.stack(outputs)


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_a_segment_sees_its_ancestors_and_itself(kv_heads: int) -> None:
    query, key, value = states(4, 0), states(kv_heads, 1), states(kv_heads, 2)
    layout = PackedLayout(LENGTHS, parents=PARENTS)
    results = []
    for attended in (layout.attend(0, query, key, value, 0.3), one_by_one(query, key, value)):
        results.append([attended, *torch.autograd.grad(attended.sin().sum(), (query, key, value))])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_a_change_in_one_segment_changes_nothing_in_one_that_does_not_see_it() -> None:
    query, key, value = (states(2, seed).detach() for seed in range(3))
    layout = PackedLayout(LENGTHS, parents=PARENTS)
    before = layout.attend(0, query, key, value, 1.0)
    changed = slice(20, 25)
    for state in (query, key, value):
        state[changed] += 1.0
    after = layout.attend(0, query, key, value, 1.0)
    sees = torch.zeros(sum(LENGTHS), dtype=torch.bool)
    for start, end in ((20, 25), (26, 35), (35, 38), (50, 52)):
        sees[start:end] = True
    assert torch.equal(before[~sees], after[~sees])
    assert not torch.isclose(before[sees], after[sees]).all(-1).any()


def test_without_parents_every_segment_is_alone() -> None:
    query, key, value = (states(2, seed).detach() for seed in range(3))
    found = PackedLayout(LENGTHS).attend(0, query, key, value, 1.0).split(LENGTHS)
    parts = zip(*(x.split(LENGTHS) for x in (query, key, value)), strict=True)
    for attended, (q, k, v) in zip(found, parts, strict=True):
        alone = F.scaled_dot_product_attention(
            *(x.transpose(0, 1)[None] for x in (q, k, v)), is_causal=True, scale=1.0
        )
        torch.testing.assert_close(attended, alone[0].transpose(0, 1))
