"""Adapter folders in PEFT's standard format, and linear layers that apply many adapters in one batch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from tunewise.errors import ModelUnavailableError
from tunewise.models.frozen_linear import FrozenLinear
from tunewise.store.files import write_bytes, write_json

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"
_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Adapter:
    """LoRA matrices by the path of the linear layer they belong to. Each one is equal to itself only."""

    layers: dict[str, tuple[Tensor, Tensor]]
    """Path -> (A [rank, in_features], B [out_features, rank]); the scale stands apart."""
    scale: float
    serial: int = field(default_factory=count(1).__next__)
    """Tells what was read at one time from what was read at another, even under the same model id."""

    @property
    def num_bytes(self) -> int:
        """What its matrices take."""
        return sum(matrix.nbytes for pair in self.layers.values() for matrix in pair)


def lora_scale(rank: int, alpha: float, *, rslora: bool) -> float:
    """The factor of B A: alpha / rank (Hu et al. 2021), or alpha / sqrt(rank) (Kalajdzievski 2023)."""
    return alpha / math.sqrt(rank) if rslora else alpha / rank


def save_adapter(
    folder: Path,
    layers: Mapping[str, tuple[Tensor, Tensor]],
    rank: int,
    alpha: float,
    base: str,
    *,
    rslora: bool = False,
    dropout: float = 0.0,
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
        "lora_dropout": dropout,
        "use_rslora": rslora,
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
        # Not `safe_open`, which leaks a few bytes with every tensor that is read.
        tensors = load((folder / WEIGHTS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ModelUnavailableError(f"no readable adapter in {folder}: {error}") from error
    except Exception as error:  # safetensors raises its own type, which is no ValueError.
        raise ModelUnavailableError(f"{folder / WEIGHTS_FILE} is damaged: {error}") from error
    unsupported = [
        key for key in ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern") if config.get(key)
    ]
    if config.get("peft_type") != "LORA" or unsupported:
        kind = unsupported or config.get("peft_type")
        raise ModelUnavailableError(
            f"{folder} is not a plain LoRA adapter ({kind}), which is all that is served"
        )
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    try:
        for key in sorted(tensors):
            name, _, part = key.removeprefix(_PREFIX).rpartition(".lora_")
            if part == "A.weight":
                pair = tensors[key], tensors[key.replace(".lora_A.", ".lora_B.")]
                layers[name] = (pair[0].to(device, dtype), pair[1].to(device, dtype))
        rslora = bool(config.get("use_rslora"))
        return Adapter(layers, lora_scale(int(config["r"]), float(config["lora_alpha"]), rslora=rslora))
    except KeyError as error:
        raise ModelUnavailableError(f"the adapter in {folder} lacks {error}") from error


def save_zeros_like(adapter: Path, folder: Path) -> None:
    """Write an adapter that changes nothing, for the base of the one in the folder `adapter`."""
    name, (a, b) = next(iter(load_adapter(adapter, torch.device("cpu"), torch.float32).layers.items()))
    save_adapter(folder, {name: (torch.zeros_like(a), torch.zeros_like(b))}, len(a), 1.0, "")


@dataclass(slots=True)
class AdapterRows:
    """Which rows of the batch under way each adapter applies to; shared by all layers of a model."""

    spans: Sequence[tuple[Adapter, int, int]] = ()
    """(adapter, first row, end row) over the packed tokens; rows in no span are the base's own."""


class AdaptedLinear:
    """Linear layers that read the same input, as one product, plus the updates of each row's adapter."""

    def __init__(self, members: Mapping[str, nn.Linear], rows: AdapterRows) -> None:
        """`members` by path; see `FrozenLinear`, which takes their weights."""
        self._rows = rows
        self._columns: dict[str, slice] = {}
        end = 0
        for name, member in members.items():
            self._columns[name] = slice(end, end := end + member.out_features)
        self._linear = FrozenLinear(list(members.values()))
        self._updates: WeakKeyDictionary[Adapter, _Update | None] = WeakKeyDictionary()

    def __call__(self, x: Tensor) -> Tensor:
        """[T, in_features] to [T, out_features of all members, in their order]."""
        y = self._linear(x)
        for adapter, start, end in self._rows.spans:
            update = self._update_of(adapter)
            if update is not None:
                low, rows = x[start:end] @ update.a, y[start:end]
                for columns, ranks, b in update.parts:
                    rows[:, columns].addmm_(low[:, ranks], b, alpha=adapter.scale)
        return y

    def _update_of(self, adapter: Adapter) -> _Update | None:
        if adapter not in self._updates:
            self._updates[adapter] = _join(adapter, self._columns)
        return self._updates[adapter]


@dataclass(frozen=True, slots=True)
class _Update:
    """What an adapter adds to the members of one `AdaptedLinear`."""

    a: Tensor
    """[in_features, rank of all members], so that their inputs are reduced in one product."""
    parts: list[tuple[slice, slice, Tensor]]
    """For each member that has an update: its outputs, its share of `a`, and B [rank, out_features]."""


def _join(adapter: Adapter, columns: Mapping[str, slice]) -> _Update | None:
    names = [name for name in columns if name in adapter.layers]
    if not names:
        return None
    joined = torch.cat([adapter.layers[name][0] for name in names])
    parts, end = [], 0
    for name in names:
        a, b = adapter.layers[name]
        ranks = slice(end, end := end + len(a))
        # A view of what was joined: nothing is kept twice.
        adapter.layers[name] = joined[ranks], b
        parts.append((columns[name], ranks, b.t()))
    return _Update(joined.t(), parts)
