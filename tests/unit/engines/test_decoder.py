"""The flat pass computes what the transformers classes compute, which attend on their own here."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tunewise.engines.decoder import ModuleDecoder, open_decoder, open_head
from tunewise.models.attention import PACKED_ATTENTION, PackedLayout
from tunewise.models.flat_decoder import FlatDecoder, is_flat

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
FAMILY: dict[str, tuple[Any, Any]] = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SIZES)),
    "llama with biases": (LlamaForCausalLM, LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "llama with scaled positions": (
        LlamaForCausalLM,
        LlamaConfig(
            **SIZES,
            rope_parameters={
                "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
            },
        ),
    ),
    "mistral": (MistralForCausalLM, MistralConfig(**SIZES, sliding_window=None, head_dim=16)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=16)),
}  # fmt: skip
OTHERS: dict[str, tuple[Any, Any]] = {
    "a sliding window": (MistralForCausalLM, MistralConfig(**SIZES, sliding_window=16)),
    "another activation": (LlamaForCausalLM, LlamaConfig(**SIZES, hidden_act="gelu")),
    "another family": (GemmaForCausalLM, GemmaConfig(**SIZES, head_dim=16)),
}


def make(kind: Any, config: Any, attention: str) -> Any:
    torch.manual_seed(0)
    model = kind(config).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.set_attn_implementation(attention)
    return model


@pytest.mark.parametrize("num_tokens", [1, 2, 30, 300])
@pytest.mark.parametrize("family", FAMILY)
def test_the_flat_pass_computes_what_the_class_does(family: str, num_tokens: int) -> None:
    ids = torch.arange(num_tokens) * 7 % 128
    theirs = make(*FAMILY[family], attention="eager")(input_ids=ids[None]).logits[0]
    model = make(*FAMILY[family], attention=PACKED_ATTENTION)
    decoder = open_decoder(model)
    assert isinstance(decoder, FlatDecoder)
    hidden = decoder.forward(ids, torch.arange(num_tokens), PackedLayout([num_tokens]))
    torch.testing.assert_close(open_head(model)(hidden), theirs, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_not_like_llama_runs_as_its_class_does(other: str) -> None:
    kind, config = OTHERS[other]
    model = make(kind, config, PACKED_ATTENTION)
    assert not is_flat(model)
    ids = torch.arange(12)
    theirs = make(kind, config, "eager")(input_ids=ids[None]).logits[0]
    decoder = open_decoder(model)
    assert isinstance(decoder, ModuleDecoder)
    hidden = decoder.forward(ids, torch.arange(12), PackedLayout([12]))
    torch.testing.assert_close(open_head(model)(hidden), theirs, atol=2e-4, rtol=1e-4)


def test_the_decoder_takes_the_weights_and_keeps_no_second_copy() -> None:
    model = make(*FAMILY["llama"], attention=PACKED_ATTENTION)
    open_decoder(model)
    left = {name for name, parameter in model.named_parameters() if parameter.dim() == 2 and len(parameter)}
    assert left == {"model.embed_tokens.weight", "lm_head.weight"}
