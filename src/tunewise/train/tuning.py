"""What is trained, and what is written of it: an adapter, all weights, or all weights from random ones.

The loop knows none of the three; it trains `Tuning.weights` of `Tuning.model`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from tunewise.errors import SpecError
from tunewise.models.adapters import load_adapter, save_adapter
from tunewise.models.base import BaseModel, LoadedModel, load_base, precision_on
from tunewise.settings import Settings
from tunewise.store.files import read_json
from tunewise.train.lora import LoRALinear, add_lora
from tunewise.train.spec import ResolvedSpec


class Tuning(Protocol):
    """One way to tune a model."""

    model: Any
    """The `transformers` causal language model, with packed attention."""
    weights: dict[str, nn.Parameter]
    """What is trained, in fp32 on every device, in an order that does not change."""

    def computing(self) -> AbstractContextManager[Any]:
        """The precision of the forward pass."""

    def save(self, folder: Path) -> None:
        """Write the model as it now is; the same weights are the same bytes."""


class LoRATuning:
    """LoRA on linear layers; the base stays as it is."""

    def __init__(self, loaded: LoadedModel, spec: ResolvedSpec) -> None:
        """Raises `SpecError` where `spec.start` is an adapter of another base."""
        self.model = loaded.model
        self._base, self._spec = loaded.base, spec
        self._layers = add_lora(
            self.model,
            spec.rank,
            spec.alpha,
            spec.seed,
            targets=spec.target_modules,
            rslora=spec.rslora,
            dropout=spec.dropout,
        )
        if spec.start is not None:
            _set_layers(self._layers, spec.start, loaded.base)
        self.weights = {
            f"{name}.{part}": getattr(layer, part) for name, layer in self._layers.items() for part in "ab"
        }

    def computing(self) -> AbstractContextManager[Any]:
        """As the base computes: its matrices meet casts of the fp32 ones."""
        return nullcontext()

    def save(self, folder: Path) -> None:
        """Write an adapter as PEFT does."""
        spec = self._spec
        layers = {name: (layer.a, layer.b) for name, layer in self._layers.items()}
        save_adapter(
            folder,
            layers,
            spec.rank,
            spec.alpha,
            self._base.reference,
            rslora=spec.rslora,
            dropout=spec.dropout,
        )


class FullTuning:
    """All weights. Tied ones stay tied: they are one parameter."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.model = loaded.model.float().requires_grad_(True)
        self._tokenizer, self._device = loaded.tokenizer, loaded.device
        self.weights = dict(self.model.named_parameters())

    def computing(self) -> AbstractContextManager[Any]:
        """What the device computes well in, over fp32 weights."""
        dtype = getattr(torch, precision_on(self._device))
        return torch.autocast(self._device.type, dtype, enabled=dtype != torch.float32)

    def save(self, folder: Path) -> None:
        """Write a `transformers` folder, in fp32."""
        self.model.save_pretrained(folder)
        self._tokenizer.save_pretrained(folder)


def open_tuning(
    base: BaseModel, spec: ResolvedSpec, settings: Settings | None = None
) -> tuple[LoadedModel, Tuning]:
    """The model to train, as `spec` has it, and how. Raises `SpecError` for a start that does not fit."""
    if spec.tuning == "lora":
        loaded = load_base(base, settings)
        return loaded, LoRATuning(loaded, spec)
    if spec.tuning == "full":
        loaded = load_base(base if spec.start is None else replace(base, folder=spec.start), settings)
        return loaded, FullTuning(loaded)
    if spec.start is not None:
        raise SpecError("tuning is 'scratch', which starts from random weights: leave the start (--from) out")
    loaded = load_base(base, settings)
    return loaded, FullTuning(replace(loaded, model=_with_random_weights(loaded, spec.seed)))


def _with_random_weights(loaded: LoadedModel, seed: int) -> Any:
    """A new model of the same configuration, initialised as its class does."""
    from transformers import AutoModelForCausalLM

    config = loaded.model.config
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation=config._attn_implementation
    )
    return model.eval().to(loaded.device)


@torch.no_grad()
def _set_layers(layers: dict[str, LoRALinear], folder: Path, base: BaseModel) -> None:
    start = load_adapter(folder, torch.device("cpu"), torch.float32)
    trained_on = read_json(folder / "adapter_config.json")["base_model_name_or_path"]
    if trained_on != base.reference or start.layers.keys() != layers.keys():
        raise SpecError(f"the adapter in {folder} was trained on {trained_on}, not on {base.reference}")
    for name, (a, b) in start.layers.items():
        layers[name].a.copy_(a)
        layers[name].b.copy_(b)
