"""Frozen linear layers, laid out once for the products that decoding consists of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_FOR_ROWS = 16
"""oneDNN lays weights out for about as many rows; one and hundreds lose little by it (`docs/log.md`)."""


class FrozenLinear:
    """Linear layers that read the same input, as one product: one large is faster than several small ones.

    On a CPU in fp32 the weights are kept in oneDNN's own layout, which makes products of few rows up to twice
    as fast. Either way the layers give their weights away, so that nothing is kept twice.
    """

    def __init__(self, layers: Sequence[nn.Linear], *, keep: bool = False) -> None:
        """All of `layers` have a bias or none has. `keep` leaves them their weights, as for a tied head."""
        weight = (
            torch.cat([layer.weight.data for layer in layers]) if len(layers) > 1 else layers[0].weight.data
        )
        biases = [layer.bias.data for layer in layers if _has_bias(layer)]
        self._bias = torch.cat(biases) if biases else None
        self._is_packed = _can_pack(weight)
        self._weight = _pack(weight) if self._is_packed else weight
        if not keep:
            for layer in layers:
                layer.weight.data = weight.new_empty(0)

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in_features] to [T, out_features of all layers, in their order]."""
        if not self._is_packed:
            return F.linear(x, self._weight, self._bias)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return y


def _can_pack(weight: Tensor) -> bool:
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and weight.device.type == "cpu" and weight.dtype == torch.float32


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), PACKED_FOR_ROWS)
    return packed


def _has_bias(layer: nn.Linear) -> bool:
    # The declared type of `bias` does not say that it may be None.
    return getattr(layer, "bias", None) is not None
