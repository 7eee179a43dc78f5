"""What stands between the matrix products of the Llama family, each step as one autograd function.

Autograd would keep and compute a tensor for each of its elementary operations; these keep their inputs only.
Without gradients, as the engine runs, they are the plain operations.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Root mean square normalisation of the last dimension (Zhang & Sennrich 2019)."""
    if not torch.is_grad_enabled():
        return F.rms_norm(x, weight.shape, weight, epsilon)
    y: Tensor = _RMSNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return y


def gated_silu(gate_up: Tensor) -> Tensor:
    """SwiGLU (Shazeer 2020): [T, 2 n] to [T, n], silu of the first half times the second."""
    if not torch.is_grad_enabled():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up
    y: Tensor = _GatedSiLU.apply(gate_up)  # type: ignore[no-untyped-call]
    return y


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding (Su et al. 2021) of [T, heads, d] by `cos` and `sin` [T, 1, d].

    The first half of each head turns against the sine, so `sin` comes with that half negated: then the
    rotation is one roll.
    """
    if not torch.is_grad_enabled():
        return _rotate(x, cos, sin)
    y: Tensor = _Rotation.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        context.save_for_backward(x, weight, inverse)
        y: Tensor = (wide * inverse).to(x.dtype).mul_(weight)
        return y

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, inverse = context.saved_tensors
        grad_x = grad_weight = None
        if context.needs_input_grad[1]:
            grad_weight = (grad * x * inverse).flatten(0, -2).sum(0).to(weight.dtype)
        if context.needs_input_grad[0]:
            scaled = (grad * weight).to(inverse.dtype)
            along = (scaled * x).sum(-1, keepdim=True).mul_(inverse.pow(3)).div_(x.shape[-1])
            grad_x = scaled.mul_(inverse).addcmul_(x.to(inverse.dtype), along, value=-1).to(x.dtype)
        return grad_x, grad_weight, None


class _GatedSiLU(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, gate_up: Tensor) -> Tensor:
        context.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> Tensor:
        (gate_up,) = context.saved_tensors
        gate, up = gate_up.chunk(2, dim=-1)
        grad_gate_up = torch.empty_like(gate_up)
        grad_gate, grad_up = grad_gate_up.chunk(2, dim=-1)
        torch.mul(grad, F.silu(gate), out=grad_up)
        torch.ops.aten.silu_backward.grad_input(grad * up, gate, grad_input=grad_gate)
        return grad_gate_up


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        context.save_for_backward(cos, sin)
        return _rotate(x, cos, sin)

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = context.saved_tensors
        return _rotate(grad, cos, -sin), None, None


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
