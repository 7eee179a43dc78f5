"""The Llama family's forward pass written flat, over the weights of the transformers class.

The engine and training run this one loop. They differ in their layout of attention, and in what stands for
the linear layers that read the same input: frozen with many adapters in the one, trained in the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.models.attention import AttentionLayout
from tunewise.models.fused import gated_silu, rms_norm, rotate

FLAT_CLASSES = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
"""Pre-norm layers of rotary attention and a gated SiLU network."""

Projection = Callable[[Tensor], Tensor]
"""[T, in_features] to [T, out_features of all members, in their order]."""
Join = Callable[[Mapping[str, Any]], Projection]
"""From linear layers that read the same input, or what stands in their place, by their paths."""


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


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer, its matrices grouped by what they read."""

    attention_norm: Tensor
    queries_keys_values: Projection
    head_norms: tuple[Tensor, Tensor] | None
    """Of queries and keys (Qwen3)."""
    output: Projection
    network_norm: Tensor
    gate_up: Projection
    down: Projection


class FlatDecoder:
    """The Llama family in one loop."""

    def __init__(self, model: Any, join: Join) -> None:
        inner, config = model.model, model.config
        self._embedding: Tensor = inner.embed_tokens.weight
        self._rotary = inner.rotary_emb
        self._norm: Tensor = inner.norm.weight
        self._epsilon: float = config.rms_norm_eps
        attention = inner.layers[0].self_attn
        self._head_dim, self._scaling = int(attention.head_dim), float(attention.scaling)
        self._num_heads: int = config.num_attention_heads
        self._num_kv_heads: int = config.num_key_value_heads
        self._layers = [_group(layer, f"model.layers.{i}", join) for i, layer in enumerate(inner.layers)]

    def forward(
        self, ids: Tensor, positions: Tensor, layout: AttentionLayout, wanted: Tensor | None = None
    ) -> Tensor:
        """Token ids [T] at `positions` [T] to final hidden states [T, hidden].

        With `wanted` [n], indices into the T tokens, only theirs [n, hidden]: nothing else is computed of
        the last layer but keys and values.
        """
        hidden = F.embedding(ids, self._embedding)
        cos, sin = self._rotary(hidden[None], positions[None])
        half = self._head_dim // 2
        cos, sin = cos[0][:, None], torch.cat((-sin[0][:, None, :half], sin[0][:, None, half:]), -1)
        for index, layer in enumerate(self._layers):
            normed = rms_norm(hidden, layer.attention_norm, self._epsilon)
            attended = self._attend(index, layer, normed, cos, sin, layout)
            if wanted is not None and index == len(self._layers) - 1:
                attended, hidden = attended.index_select(0, wanted), hidden.index_select(0, wanted)
            hidden = hidden + layer.output(attended)
            normed = rms_norm(hidden, layer.network_norm, self._epsilon)
            hidden = hidden + layer.down(gated_silu(layer.gate_up(normed)))
        return rms_norm(hidden, self._norm, self._epsilon)

    def _attend(
        self, index: int, layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor, layout: AttentionLayout
    ) -> Tensor:
        heads = layer.queries_keys_values(x).view(len(x), -1, self._head_dim)
        turned, values = torch.split(heads, [self._num_heads + self._num_kv_heads, self._num_kv_heads], dim=1)
        if layer.head_norms is not None:
            queries, keys = torch.split(turned, [self._num_heads, self._num_kv_heads], dim=1)
            query_norm, key_norm = layer.head_norms
            queries = rms_norm(queries, query_norm, self._epsilon)
            keys = rms_norm(keys, key_norm, self._epsilon)
            turned = torch.cat((queries, keys), dim=1)
        turned = rotate(turned, cos, sin)
        queries, keys = torch.split(turned, [self._num_heads, self._num_kv_heads], dim=1)
        return layout.attend(index, queries, keys, values, self._scaling).reshape(len(x), -1)


def _group(layer: Any, path: str, join: Join) -> _Layer:
    attention, network = layer.self_attn, layer.mlp

    def group(parent: str, **members: Any) -> Projection:
        return join({f"{path}.{parent}.{name}": member for name, member in members.items()})

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
