from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.train import head
from tunewise.train.head import summed_nll, target_logprobs

VOCABULARY = 50


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True)
        for shape in ((23, 8), (VOCABULARY, 8), (VOCABULARY,))
    )
    return hidden, torch.randint(0, VOCABULARY, (23,), generator=generator), weight, bias


@pytest.mark.parametrize("rows_at_once", [1, 7, 23, 100])
def test_loss_and_gradients_are_those_of_cross_entropy(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "LOGITS_AT_ONCE", rows_at_once * VOCABULARY)
    hidden, targets, weight, bias = inputs()
    expected = F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum")
    found = summed_nll(hidden, targets, weight, bias)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    leaves = (hidden, weight, bias)
    # Divided, as for a mean: the gradient that was made is of the sum.
    gradients = torch.autograd.grad(found / 7, leaves)
    for gradient, wanted in zip(gradients, torch.autograd.grad(expected / 7, leaves), strict=True):
        torch.testing.assert_close(gradient, wanted, atol=1e-12, rtol=1e-12)


def test_log_probabilities_are_those_of_log_softmax_even_where_they_vanish() -> None:
    hidden, targets, weight, bias = inputs(torch.float32)
    with torch.no_grad():
        found = target_logprobs(40 * hidden, targets, weight, bias)
        expected = F.linear(40 * hidden, weight, bias).double().log_softmax(-1)
    assert expected.min() < -200
    torch.testing.assert_close(found.double(), expected[range(23), targets], atol=1e-3, rtol=1e-6)


def test_a_loss_of_bf16_states_is_added_up_in_fp32() -> None:
    hidden, targets, weight, _ = inputs(torch.bfloat16)
    assert summed_nll(hidden, targets, weight).dtype == torch.float32
