"""Adapter folders in PEFT's standard format, and linear layers that apply many adapters in one batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tunewise.errors import ModelUnavailableError
from tunewise.store.files import write_bytes, write_json

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
_PREFIX = "base_model.model."

FEWEST_ROWS, MOST_ROWS = 4, 48
"""Between these, `linear` multiplies from the left."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA matrices by the path of the linear layer they belong to."""

    layers: dict[str, tuple[Tensor, Tensor]]
    """Path -> (A [rank, in_features], B [out_features, rank]); the scale stands apart."""
    scale: float


def save_adapter(
    folder: Path, layers: Mapping[str, tuple[Tensor, Tensor]], rank: int, alpha: float, base: str
) -> None:
    """Write `layers` as PEFT would, so that anything that reads PEFT adapters reads this one.

    Names are sorted, and safetensors is given no metadata of unfixed order, so the same weights are the
    same bytes.
    """
    tensors: dict[str, Tensor] = {}
    for name in sorted(layers):
        for part, tensor in zip("AB", layers[name], strict=True):
            tensors[f"{_PREFIX}{name}.lora_{part}.weight"] = tensor.detach().float().cpu().contiguous()
    write_bytes(folder / WEIGHTS_FILE, save(tensors, metadata={"format": "pt"}))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": sorted({name.rpartition(".")[2] for name in layers}),
    }
    write_json(folder / CONFIG_FILE, config)


def adapter_rank(folder: Path) -> int:
    """The rank of the adapter in a folder. Raises `ModelUnavailableError` if that cannot be read."""
    try:
        return int(json.loads((folder / CONFIG_FILE).read_text("utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelUnavailableError(f"no readable adapter in {folder}: {error}") from error


def load_adapter(folder: Path, device: torch.device, dtype: torch.dtype) -> Adapter:
    """Read a PEFT LoRA folder. Raises `ModelUnavailableError` if it is missing, damaged or no LoRA."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no readable adapter in {folder}: {error}") from error
    except Exception as error:  # safetensors raises its own type, which is no ValueError.
        raise ModelUnavailableError(f"{folder / WEIGHTS_FILE} is damaged: {error}") from error
    unsupported = [
        key for key in ("use_dora", "use_rslora", "modules_to_save", "rank_pattern") if config.get(key)
    ]
    if config.get("peft_type") != "LORA" or unsupported:
        kind = unsupported or config.get("peft_type")
        raise ModelUnavailableError(
            f"{folder} is not a plain LoRA adapter ({kind}), which is all that is served"
        )
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for key in sorted(tensors):
        name, _, part = key.removeprefix(_PREFIX).rpartition(".lora_")
        if part == "A.weight":
            pair = tensors[key], tensors[key.replace(".lora_A.", ".lora_B.")]
            layers[name] = (pair[0].to(device, dtype), pair[1].to(device, dtype))
    return Adapter(layers, float(config["lora_alpha"]) / int(config["r"]))


def save_zeros_like(adapter: Path, folder: Path) -> None:
    """Write an adapter that changes nothing, for the base of the one in the folder `adapter`."""
    name, (a, b) = next(iter(load_adapter(adapter, torch.device("cpu"), torch.float32).layers.items()))
    save_adapter(folder, {name: (torch.zeros_like(a), torch.zeros_like(b))}, len(a), 1.0, "")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """W x + b for inference, [1, T, in_features] to [1, T, out_features].

    On a CPU, W x^T is up to twice as fast as x W^T for the few rows of a decoding step (`docs/log.md`).
    """
    if x.device.type != "cpu" or not FEWEST_ROWS <= x.shape[1] <= MOST_ROWS:
        return F.linear(x, weight, bias)
    y = (weight @ x[0].t()).t().contiguous()
    return (y if bias is None else y.add_(bias))[None]


@dataclass(slots=True)
class AdapterRows:
    """Which rows of the batch under way each adapter applies to; shared by all layers of a model."""

    spans: Sequence[tuple[Adapter, int, int]] = ()
    """(adapter, first row, end row) over the packed tokens; rows in no span are the base's own."""


class AdaptedLinear(nn.Module):
    """A linear layer that adds to each row the update of the adapter the row belongs to."""

    def __init__(self, base: nn.Linear, name: str, rows: AdapterRows) -> None:
        super().__init__()
        self.base = base
        self.name = name
        self.rows = rows

    def forward(self, x: Tensor) -> Tensor:
        """[1, T, in_features] to [1, T, out_features]."""
        y = linear(x, self.base.weight, self.base.bias)
        for adapter, start, end in self.rows.spans:
            pair = adapter.layers.get(self.name)
            if pair is not None:
                a, b = pair
                y[0, start:end].addmm_(x[0, start:end] @ a.t(), b.t(), alpha=adapter.scale)
        return y


def add_adapter_rows(model: nn.Module) -> AdapterRows:
    """Wrap every linear layer except the output head, in place; returns the handle that steers them all."""
    rows = AdapterRows()
    head = getattr(model, "get_output_embeddings", lambda: None)()
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head]
    for name, linear in found:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, AdaptedLinear(linear, name, rows))
    return rows
