from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.models.fused import gated_silu, rms_norm, rotate


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)


def test_rms_norm_has_the_values_and_gradients_of_torch() -> None:
    x, weight = random(5, 3, 8), random(8, seed=1)
    torch.testing.assert_close(rms_norm(x, weight, 1e-3), F.rms_norm(x, (8,), weight, 1e-3))
    assert torch.autograd.gradcheck(lambda x, w: rms_norm(x, w, 1e-3), (x, weight))


def test_rms_norm_of_bf16_is_computed_in_fp32() -> None:
    x, weight = random(5, 64).detach().bfloat16().requires_grad_(), torch.ones(64, dtype=torch.bfloat16)
    expected = F.rms_norm(x.float(), (64,), None, 1e-6)
    found = rms_norm(x, weight, 1e-6)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16(), atol=0, rtol=0)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    (wanted,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(gradient, wanted, atol=1e-2, rtol=1e-2)


def test_gated_silu_has_the_gradients_of_autograd() -> None:
    x = random(5, 12)
    torch.testing.assert_close(gated_silu(x), F.silu(x[:, :6]) * x[:, 6:])
    assert torch.autograd.gradcheck(gated_silu, (x,))


def test_rotation_has_the_gradients_of_autograd() -> None:
    angle = random(5, 1, 4, seed=1).detach()
    cos = torch.cat((angle.cos(), angle.cos()), -1)
    sin = torch.cat((-angle.sin(), angle.sin()), -1)
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), (random(5, 3, 8),))


def test_without_gradients_the_values_are_the_same() -> None:
    x, weight = random(5, 8), random(8, seed=1)
    with torch.no_grad():
        plain = rms_norm(x, weight, 1e-6), gated_silu(x)
    torch.testing.assert_close((rms_norm(x, weight, 1e-6), gated_silu(x)), plain)
