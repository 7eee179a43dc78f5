"""LoRA on linear layers (Hu et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn

from tunewise.errors import SpecError
from tunewise.models.adapters import lora_scale
from tunewise.train.linear import project


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
        y = project(x.reshape(-1, x.shape[-1]), [self])
        return y.view(*x.shape[:-1], y.shape[-1])


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
