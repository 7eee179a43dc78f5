from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tunewise.train.linear import project
from tunewise.train.lora import LoRALinear


def make_layers() -> list[nn.Module]:
    """As of one attention: with LoRA and without, with a bias and without, wide and narrow."""
    generator = torch.Generator().manual_seed(0)
    first, second, third = nn.Linear(6, 5), nn.Linear(6, 3, bias=False), nn.Linear(6, 4)
    layers: list[nn.Module] = [
        LoRALinear(first, 3, 6.0, generator),
        second,
        LoRALinear(third, 2, 1.0, generator),
    ]
    for layer in layers:
        layer.double().requires_grad_(True)
        if isinstance(layer, LoRALinear):
            nn.init.normal_(layer.b, generator=generator)
    return layers


def plainly(x: Tensor, layers: list[nn.Module]) -> Tensor:
    parts = []
    for layer in layers:
        if isinstance(layer, LoRALinear):
            parts.append(layer.base(x) + layer.scale * x @ layer.a.t() @ layer.b.t())
        else:
            parts.append(layer(x))
    return torch.cat(parts, dim=-1)


@pytest.mark.parametrize("trained", ["all", "lora", "one"])
def test_joined_layers_have_the_outputs_and_gradients_of_autograd(trained: str) -> None:
    layers = make_layers()
    parameters = {f"{i}.{n}": p for i, layer in enumerate(layers) for n, p in layer.named_parameters()}
    for name, parameter in parameters.items():
        is_lora = name.endswith((".a", ".b"))
        parameter.requires_grad_(trained == "all" or (is_lora and (trained == "lora" or name[0] == "2")))
    x = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    leaves = [x, *(parameter for parameter in parameters.values() if parameter.requires_grad)]
    gradients = []
    for y in (project(x, layers), plainly(x, layers)):
        gradients.append([y, *torch.autograd.grad(y.sin().sum(), leaves)])
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    layers = make_layers()
    x = torch.randn(7, 6, dtype=torch.float64)
    project(x, layers).sum().backward()
    assert x.grad is None
    assert layers[0].a.grad is not None


def test_a_layer_alone_takes_input_of_any_shape() -> None:
    layer = make_layers()[0]
    x = torch.randn(2, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), plainly(x, [layer]), atol=1e-12, rtol=1e-12)
