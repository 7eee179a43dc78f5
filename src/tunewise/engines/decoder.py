"""The model's forward pass in the engine: the transformers class's own weights, with adapters row by row.

Any class of transformers runs as it is. For those of the Llama family, whose layers are all alike, the same
arithmetic is written flat: at few rows, calling modules costs more than what they compute (`docs/log.md`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewise.models.adapters import AdaptedLinear, AdapterRows
from tunewise.models.attention import AttentionLayout
from tunewise.models.frozen_linear import FrozenLinear

FLAT_CLASSES = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
"""Pre-norm layers of rotary attention and a gated SiLU network."""


class Decoder(Protocol):
    """Computes hidden states; which adapter applies to which rows is set in `rows` before each call."""

    rows: AdapterRows

    def forward(self, ids: Tensor, positions: Tensor, layout: AttentionLayout) -> Tensor:
        """Token ids [T] at `positions` [T] to final hidden states [T, hidden]."""


def open_decoder(model: Any) -> Decoder:
    """The fastest that computes what `model` does. It takes the model over: layers are replaced."""
    return FlatDecoder(model) if is_flat(model) else ModuleDecoder(model)


def is_flat(model: Any) -> bool:
    """Whether the flat pass computes what this model's own class does."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    windowed = getattr(config, "sliding_window", None) and type(model).__name__ == "MistralForCausalLM"
    return (
        type(model).__name__ in FLAT_CLASSES
        and config.hidden_act == "silu"
        and kinds == {"full_attention"}
        and not windowed
    )


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


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer, its matrices grouped by what they read."""

    attention_norm: Tensor
    queries_keys_values: AdaptedLinear
    head_norms: tuple[Tensor, Tensor] | None
    """Of queries and keys (Qwen3)."""
    output: AdaptedLinear
    network_norm: Tensor
    gate_up: AdaptedLinear
    down: AdaptedLinear


class FlatDecoder:
    """The Llama family in one loop (implements `Decoder`)."""

    def __init__(self, model: Any) -> None:
        self.rows = AdapterRows()
        inner, config = model.model, model.config
        self._embedding: Tensor = inner.embed_tokens.weight
        self._rotary = inner.rotary_emb
        self._norm: Tensor = inner.norm.weight
        self._epsilon: float = config.rms_norm_eps
        attention = inner.layers[0].self_attn
        self._head_dim, self._scaling = int(attention.head_dim), float(attention.scaling)
        self._num_heads: int = config.num_attention_heads
        self._num_kv_heads: int = config.num_key_value_heads
        self._layers = [self._group(layer, f"model.layers.{i}") for i, layer in enumerate(inner.layers)]

    def forward(self, ids: Tensor, positions: Tensor, layout: AttentionLayout) -> Tensor:
        """See `Decoder`."""
        hidden = F.embedding(ids, self._embedding)
        cos, sin = self._rotary(hidden[None], positions[None])
        # Rotation as one roll: the first half of each head turns against the sine.
        half = self._head_dim // 2
        cos, sin = cos[0][:, None], torch.cat((-sin[0][:, None, :half], sin[0][:, None, half:]), -1)
        for index, layer in enumerate(self._layers):
            attended = self._attend(
                index, layer, self._normalise(hidden, layer.attention_norm), cos, sin, layout
            )
            hidden = hidden + layer.output(attended)
            gate, up = layer.gate_up(self._normalise(hidden, layer.network_norm)).chunk(2, dim=-1)
            hidden = hidden + layer.down(F.silu(gate) * up)
        return self._normalise(hidden, self._norm)

    def _attend(
        self, index: int, layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor, layout: AttentionLayout
    ) -> Tensor:
        heads = layer.queries_keys_values(x).view(len(x), -1, self._head_dim)
        values = heads[:, self._num_heads + self._num_kv_heads :]
        turned = heads[:, : self._num_heads + self._num_kv_heads]
        if layer.head_norms is not None:
            queries, keys = turned[:, : self._num_heads], turned[:, self._num_heads :]
            query_norm, key_norm = layer.head_norms
            turned = torch.cat((self._normalise(queries, query_norm), self._normalise(keys, key_norm)), dim=1)
        turned = torch.addcmul(turned * cos, turned.roll(self._head_dim // 2, -1), sin)
        queries, keys = turned[:, : self._num_heads], turned[:, self._num_heads :]
        return layout.attend(index, queries, keys, values, self._scaling).reshape(len(x), -1)

    def _normalise(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self._epsilon)

    def _group(self, layer: Any, path: str) -> _Layer:
        attention, network = layer.self_attn, layer.mlp

        def group(parent: str, **members: nn.Linear) -> AdaptedLinear:
            return AdaptedLinear({f"{path}.{parent}.{n}": member for n, member in members.items()}, self.rows)

        normed = hasattr(attention, "q_norm")
        return _Layer(
            attention_norm=layer.input_layernorm.weight,
            queries_keys_values=group(
                "self_attn", q_proj=attention.q_proj, k_proj=attention.k_proj, v_proj=attention.v_proj
            ),
            head_norms=(attention.q_norm.weight, attention.k_norm.weight) if normed else None,
            output=group("self_attn", o_proj=attention.o_proj),
            network_norm=layer.post_attention_layernorm.weight,
            gate_up=group("mlp", gate_proj=network.gate_proj, up_proj=network.up_proj),
            down=group("mlp", down_proj=network.down_proj),
        )


def open_head(model: Any) -> FrozenLinear:
    """The output head: final hidden states [n, hidden] to logits [n, vocabulary]."""
    head = model.get_output_embeddings()
    return FrozenLinear([head], keep=head.weight is model.get_input_embeddings().weight)
