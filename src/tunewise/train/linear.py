"""Linear layers that read the same input, with their LoRA updates, forward and backward in one function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def project(x: Tensor, layers: Sequence[nn.Module]) -> Tensor:
    """[T, in_features] to [T, out_features of all `layers`, in their order].

    A layer is an `nn.Linear`, or a `LoRALinear` on one. What requires no gradient gets none, and nothing is
    kept for the backward pass but the input and what LoRA's A makes of it.
    """
    x = x.to(computing_dtype(x))
    matrices: list[Tensor | None] = []
    scales: list[float] = []
    dropout = 0.0
    for layer in layers:
        linear: Any = getattr(layer, "base", layer)
        lora: Any = layer if linear is not layer else None
        pair = (lora.a, lora.b) if lora else (None, None)
        matrices += [m if m is None else m.to(x.dtype) for m in (linear.weight, linear.bias, *pair)]
        scales.append(lora.scale if lora else 0.0)
        dropout = max(dropout, getattr(lora, "dropout", 0.0))
    # Only while training, which is when there are gradients; validation is to see all of the input.
    dropped = F.dropout(x, dropout) if dropout and torch.is_grad_enabled() else None
    y: Tensor = _Projection.apply(x, dropped, scales, *matrices)  # type: ignore[no-untyped-call]
    return y


def computing_dtype(x: Tensor) -> torch.dtype:
    """What products of `x` are computed in: its own precision, or autocast's where that is on."""
    device = x.device.type
    dtype: torch.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    return dtype


class _Projection(torch.autograd.Function):
    """y = W x + b + s B A x for each layer, in columns of one result.

    The A of all layers are joined: one product of some width takes less time than several narrow ones.
    """

    @staticmethod
    def forward(
        context: Any, x: Tensor, dropped: Tensor | None, scales: list[float], *matrices: Tensor | None
    ) -> Tensor:
        """`matrices` are W, b, A and B of the first layer, then of the next; `dropped` is what A reads."""
        weights, biases, downs, ups = (matrices[part::4] for part in range(4))
        context.columns = _slices(len(weight) for weight in weights if weight is not None)
        context.ranks = _slices(0 if down is None else len(down) for down in downs)
        context.scales = scales
        adapted = [down for down in downs if down is not None]
        joined = low = None
        if adapted:
            joined = torch.cat(adapted)
            low = (x if dropped is None else dropped) @ joined.t()
        y = x.new_empty(len(x), context.columns[-1].stop)
        for i, (weight, bias, up) in enumerate(zip(weights, biases, ups, strict=True)):
            assert weight is not None
            part = y[:, context.columns[i]]
            if bias is None:
                torch.mm(x, weight.t(), out=part)
            else:
                torch.addmm(bias, x, weight.t(), out=part)
            if up is not None and low is not None:
                part.addmm_(low[:, context.ranks[i]], up.t(), alpha=scales[i])
        context.save_for_backward(x, dropped, joined, low, *weights, *ups)
        return y

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Any, ...]:
        x, dropped, joined, low, *others = context.saved_tensors
        weights, ups = others[: len(others) // 2], others[len(others) // 2 :]
        needs_x, needs_dropped, _, *needed = context.needs_input_grad
        grad_x = torch.empty_like(x) if needs_x else None
        grad_low: Any = None if low is None else torch.empty_like(low)
        grads: list[Tensor | None] = [None] * len(needed)
        for i, (weight, up) in enumerate(zip(weights, ups, strict=True)):
            part, ranks = grad[:, context.columns[i]], context.ranks[i]
            if needed[4 * i]:
                grads[4 * i] = part.t() @ x
            if needed[4 * i + 1]:
                grads[4 * i + 1] = part.sum(0)
            if up is not None:
                torch.mm(part, up, out=grad_low[:, ranks]).mul_(context.scales[i])
                grads[4 * i + 3] = (part.t() @ low[:, ranks]).mul_(context.scales[i])
            if grad_x is not None:
                torch.mm(part, weight, out=grad_x) if i == 0 else grad_x.addmm_(part, weight)
        grad_dropped = None
        if grad_low is not None:
            grad_down = grad_low.t() @ (x if dropped is None else dropped)
            for i, ranks in enumerate(context.ranks):
                if needed[4 * i + 2]:
                    grads[4 * i + 2] = grad_down[ranks]
            if needs_dropped:
                grad_dropped = grad_low @ joined
            elif dropped is None and grad_x is not None:
                grad_x.addmm_(grad_low, joined)
        return grad_x, grad_dropped, None, *grads


def _slices(sizes: Iterable[int]) -> list[slice]:
    return [slice(start, end) for start, end in pairwise(accumulate(sizes, initial=0))]
