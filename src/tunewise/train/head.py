"""The output head and the loss together: logits of a few rows at a time, and never those of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.train.linear import computing_dtype

LOGITS_AT_ONCE = 2**24
"""64 MiB in fp32: large enough for efficient products, and all the memory that logits take."""


def summed_nll(hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The summed negative log-likelihood of `targets` [N], in fp32 or wider.

    `hidden` [N, hidden] are final states; `weight` [vocabulary, hidden] and `bias` are the output head's. The
    gradients are made in the forward pass, while the logits are there.
    """
    dtype = computing_dtype(hidden)
    loss: Tensor = _SummedNLL.apply(  # type: ignore[no-untyped-call]
        hidden.to(dtype), targets, weight.to(dtype), bias if bias is None else bias.to(dtype)
    )
    return loss


def target_logprobs(hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[N]: the natural-log probability of each target; arguments as in `summed_nll`, no gradients."""
    return torch.cat([logprobs for _, logprobs, _ in _softmax_in_parts(hidden, targets, weight, bias)])


class _SummedNLL(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        needs_hidden, _, needs_weight, needs_bias = context.needs_input_grad
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        # Summed over the parts, so in full precision.
        grad_weight = torch.zeros_like(weight, dtype=_wide(weight.dtype)) if needs_weight else None
        grad_bias = weight.new_zeros(len(weight), dtype=_wide(weight.dtype)) if needs_bias else None
        total = hidden.new_zeros((), dtype=_wide(hidden.dtype))
        for rows, logprobs, probabilities in _softmax_in_parts(hidden, targets, weight, bias):
            total -= logprobs.sum()
            # The loss by the logits: the probabilities, less one at the target.
            probabilities[torch.arange(len(logprobs), device=hidden.device), targets[rows]] -= 1
            grad_logits = probabilities.to(weight.dtype)
            if grad_hidden is not None:
                torch.mm(grad_logits, weight, out=grad_hidden[rows])
            if grad_weight is not None:
                grad_weight += grad_logits.t() @ hidden[rows]
            if grad_bias is not None:
                grad_bias += probabilities.sum(0)
        context.save_for_backward(grad_hidden, grad_weight, grad_bias)
        context.dtypes = hidden.dtype, weight.dtype
        return total

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden_dtype, weight_dtype = context.dtypes
        grad_hidden, grad_weight, grad_bias = (
            None if made is None else (made * grad).to(dtype)
            for made, dtype in zip(
                context.saved_tensors, (hidden_dtype, weight_dtype, weight_dtype), strict=True
            )
        )
        return grad_hidden, None, grad_weight, grad_bias


def _softmax_in_parts(
    hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """For some rows at a time: which, their targets' log-probabilities, and all tokens' probabilities."""
    step = max(LOGITS_AT_ONCE // len(weight), 1)
    for start in range(0, len(hidden), step):
        rows = slice(start, start + step)
        logits = F.linear(hidden[rows], weight, bias)
        wanted = logits.gather(1, targets[rows, None])[:, 0]
        highest = logits.amax(-1)
        probabilities = torch.softmax(logits, -1, dtype=_wide(logits.dtype))
        # The likeliest token is never so unlikely that its probability loses digits, as the target's may be.
        normaliser = highest - probabilities.amax(-1).log()
        yield rows, wanted - normaliser, probabilities


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
