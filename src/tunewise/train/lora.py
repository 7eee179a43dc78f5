"""LoRA on linear layers (Hu et al. 2021), with forward and backward in one autograd function."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewise.errors import SpecError
from tunewise.models.adapters import lora_scale


class _LoRAFunction(torch.autograd.Function):
    """y = W x + b + s B A x. The base weight gets no gradient, and no intermediate but A x is stored."""

    @staticmethod
    def forward(
        context: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float
    ) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ a.t()
        y = F.linear(rows, weight, bias).addmm_(low, b.t(), alpha=scale)
        context.save_for_backward(rows, weight, a, b, low)
        context.scale = scale
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, a, b, low = context.saved_tensors
        scale = context.scale
        grad_rows = grad.reshape(-1, grad.shape[-1])
        grad_low = (grad_rows @ b).mul_(scale)
        grad_b = (grad_rows.t() @ low).mul_(scale)
        grad_a = grad_low.t() @ rows
        grad_x = None
        if context.needs_input_grad[0]:
            grad_x = (grad_rows @ weight).addmm_(grad_low, a).view(*grad.shape[:-1], rows.shape[-1])
        return grad_x, None, None, grad_a, grad_b, None


class LoRALinear(nn.Module):
    """A frozen linear layer and the low-rank update that is trained on top of it."""

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        alpha: float,
        generator: torch.Generator,
        *,
        rslora: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.base = base
        self.scale = lora_scale(rank, alpha, rslora=rslora)
        self.dropout = dropout
        a = torch.empty(rank, base.in_features)
        # As PEFT starts: A uniform within 1/sqrt(in_features), B zero, so that training begins at the base.
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        device = base.weight.device
        self.a = nn.Parameter(a.to(device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        a, b = self.a.to(x.dtype), self.b.to(x.dtype)
        # Validation takes no gradient, and is to see all of the input.
        if self.dropout > 0 and torch.is_grad_enabled():
            update = F.dropout(x, self.dropout) @ a.t() @ b.t()
            return F.linear(x, self.base.weight, self.base.bias).add(update, alpha=self.scale)
        y: Tensor = _LoRAFunction.apply(  # type: ignore[no-untyped-call]
            x, self.base.weight, self.base.bias, a, b, self.scale
        )
        return y


def add_lora(
    model: nn.Module,
    rank: int,
    alpha: float,
    seed: int,
    *,
    targets: Collection[str] = (),
    rslora: bool = False,
    dropout: float = 0.0,
) -> dict[str, LoRALinear]:
    """Put LoRA on linear layers, in place; returns them by module path.

    `targets` are the last parts of their names; none is every linear layer except the output head. Raises
    `SpecError` for one that no linear layer has.
    """
    generator = torch.Generator().manual_seed(seed)
    head = getattr(model, "get_output_embeddings", lambda: None)()
    found = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head}
    names = {name.rpartition(".")[2] for name in found}
    unknown = sorted(set(targets) - names)
    if unknown:
        raise SpecError(f"target_modules names {unknown[0]!r}: choose from {', '.join(sorted(names))}")
    layers: dict[str, LoRALinear] = {}
    for name, linear in found.items():
        parent, _, child = name.rpartition(".")
        if not targets or child in targets:
            layers[name] = LoRALinear(linear, rank, alpha, generator, rslora=rslora, dropout=dropout)
            setattr(model.get_submodule(parent), child, layers[name])
    return layers
