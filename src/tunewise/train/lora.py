"""LoRA on linear layers (Hu et al. 2021)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tunewise.train.linear import project


class LoRALinear(nn.Module):
    """A frozen linear layer and the low-rank update that is trained on top of it."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        a = torch.empty(rank, base.in_features)
        # As PEFT starts: A uniform within 1/sqrt(in_features), B zero, so that training begins at the base.
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        device = base.weight.device
        self.a = nn.Parameter(a.to(device))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        y = project(x.reshape(-1, x.shape[-1]), [self])
        return y.view(*x.shape[:-1], y.shape[-1])


def add_lora(model: nn.Module, rank: int, alpha: float, seed: int) -> dict[str, LoRALinear]:
    """Put LoRA on every linear layer except the output head, in place; returns them by module path."""
    generator = torch.Generator().manual_seed(seed)
    head = getattr(model, "get_output_embeddings", lambda: None)()
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head]
    layers: dict[str, LoRALinear] = {}
    for name, linear in found:
        parent, _, child = name.rpartition(".")
        layers[name] = LoRALinear(linear, rank, alpha, generator)
        setattr(model.get_submodule(parent), child, layers[name])
    return layers
