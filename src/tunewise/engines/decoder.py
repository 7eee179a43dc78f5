"""The model's forward pass in the engine: the transformers class's own weights, with adapters row by row.

Any class of transformers runs as it is. For those of the Llama family, whose layers are all alike, the same
arithmetic is written flat (`models/flat_decoder.py`): at few rows, calling modules costs more than what they
compute (`docs/log.md`).
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from tunewise.models.adapters import AdaptedLinear, AdapterRows
from tunewise.models.attention import AttentionLayout
from tunewise.models.flat_decoder import FlatDecoder, is_flat
from tunewise.models.frozen_linear import FrozenLinear


class Decoder(Protocol):
    """Computes hidden states; which adapter applies to which rows is set in `rows` before each call."""

    rows: AdapterRows

    def forward(self, ids: Tensor, positions: Tensor, layout: AttentionLayout) -> Tensor:
        """Token ids [T] at `positions` [T] to final hidden states [T, hidden]."""


def open_decoder(model: Any) -> Decoder:
    """The fastest that computes what `model` does. It takes the model over: layers are replaced."""
    return AdaptedFlatDecoder(model) if is_flat(model) else ModuleDecoder(model)


class ModuleDecoder:
    """The transformers class itself, each linear layer wrapped (implements `Decoder`)."""

    def __init__(self, model: Any) -> None:
        self.rows = AdapterRows()
        self._model = model
        head = model.get_output_embeddings()
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and module is not head:
                parent, _, child = name.rpartition(".")
                adapted = AdaptedLinear({name: module}, self.rows)
                setattr(model.get_submodule(parent), child, _AdaptedModule(module, adapted))

    def forward(self, ids: Tensor, positions: Tensor, layout: AttentionLayout) -> Tensor:
        """See `Decoder`."""
        output = self._model.base_model(
            input_ids=ids[None], position_ids=positions[None], use_cache=False, layout=layout
        )
        hidden: Tensor = output.last_hidden_state[0]
        return hidden


class _AdaptedModule(nn.Module):
    """An `AdaptedLinear` of one member as a module: [1, T, in_features] to [1, T, out_features]."""

    def __init__(self, base: nn.Linear, adapted: AdaptedLinear) -> None:
        super().__init__()
        self.base = base
        self._adapted = adapted

    def forward(self, x: Tensor) -> Tensor:
        return self._adapted(x[0])[None]


class AdaptedFlatDecoder(FlatDecoder):
    """The Llama family in one loop (implements `Decoder`)."""

    def __init__(self, model: Any) -> None:
        self.rows = AdapterRows()
        super().__init__(model, lambda members: AdaptedLinear(members, self.rows))


def open_head(model: Any) -> FrozenLinear:
    """The output head: final hidden states [n, hidden] to logits [n, vocabulary]."""
    head = model.get_output_embeddings()
    return FrozenLinear([head], keep=head.weight is model.get_input_embeddings().weight)
