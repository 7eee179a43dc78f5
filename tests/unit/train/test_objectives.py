"""A packed step has the loss and gradients of every example computed alone by the transformers class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tunewise.chat.packing import pack_examples
from tunewise.chat.template import TokenizedExample
from tunewise.models.attention import PACKED_ATTENTION
from tunewise.train.lora import add_lora
from tunewise.train.objectives import accumulate_gradients, mean_loss, trained_logprobs

SIZES = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}
MODELS: dict[str, tuple[Any, Any]] = {
    "llama, tied head": (LlamaForCausalLM, LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "llama with biases": (LlamaForCausalLM, LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SIZES, head_dim=16)),
    "not flat": (GemmaForCausalLM, GemmaConfig(**SIZES, head_dim=16)),
}
INSTRUCTION = list(range(40, 64))


def row(*tokens: int, trained_from: int) -> TokenizedExample:
    return TokenizedExample(list(tokens), [i >= trained_from for i in range(len(tokens))])


def rows() -> list[TokenizedExample]:
    """Two groups that begin alike, one of them branching; turns trained in what is shared; a lone row."""
    generator = torch.Generator().manual_seed(0)

    def tail(number: int) -> list[int]:
        return torch.randint(2, 128, (number,), generator=generator).tolist()

    other = [7, *reversed(INSTRUCTION)]
    branch = [*INSTRUCTION, *tail(18)]
    multi_turn = TokenizedExample([*branch, *tail(5)], [i in (3, 4, 30, 46) for i in range(47)])
    return [
        row(*INSTRUCTION, *tail(9), trained_from=28),
        row(*other, *tail(4), trained_from=26),
        multi_turn,
        row(*branch, *tail(2), trained_from=20),
        row(*branch, trained_from=40),
        row(*other, *tail(40), trained_from=30),
        row(*tail(6), trained_from=2),
        row(*INSTRUCTION, *tail(30), trained_from=24),
    ]


def make(name: str, attention: str, tuning: str) -> tuple[Any, dict[str, Tensor]]:
    """A model in float64 and what is trained of it."""
    kind, config = MODELS[name]
    torch.manual_seed(0)
    model = kind(config).eval().requires_grad_(False).double()
    for parameter_name, parameter in model.named_parameters():
        if "norm" in parameter_name or "bias" in parameter_name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    model.set_attn_implementation(attention)
    if tuning == "full":
        return model.requires_grad_(True), dict(model.named_parameters())
    generator = torch.Generator().manual_seed(1)
    layers = add_lora(model, 4, 8.0, seed=1)
    for layer in layers.values():
        layer.double()
        torch.nn.init.normal_(layer.b, std=0.2, generator=generator)
    return model, {f"{n}.{p}": getattr(layer, p) for n, layer in layers.items() for p in "ab"}


def each_alone(model: Any, examples: list[TokenizedExample]) -> Tensor:
    losses, count = [], 0
    for example in examples:
        logits = model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        trained = torch.tensor(example.trained[1:])
        targets = torch.tensor(example.ids[1:])
        losses.append(F.cross_entropy(logits[trained], targets[trained], reduction="sum"))
        count += sum(example.trained)
    return torch.stack(losses).sum() / count


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    for name, parameter in found.items():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_are_those_of_the_transformers_class(name: str, tuning: str) -> None:
    plain, expected = make(name, "eager", tuning)
    reference = each_alone(plain, rows())
    reference.backward()
    model, trained = make(name, PACKED_ATTENTION, tuning)
    assert accumulate_gradients(model, rows(), 10_000) == pytest.approx(reference.item(), rel=1e-6)
    # The class computes its norms and softmax in fp32, whatever its weights are.
    assert_same(trained, expected, 1e-5)


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("name", [name for name in MODELS if name != "not flat"])
def test_sharing_beginnings_changes_nothing(name: str, tuning: str) -> None:
    examples = rows()
    assert pack_examples(examples).num_tokens < sum(len(example.ids) - 1 for example in examples)
    model, expected = make(name, PACKED_ATTENTION, tuning)
    reference = accumulate_gradients(model, examples, 1)
    for micro_batch_tokens in (10_000, 80):
        model, trained = make(name, PACKED_ATTENTION, tuning)
        loss = accumulate_gradients(model, examples, micro_batch_tokens)
        assert loss == pytest.approx(reference, rel=1e-12)
        assert loss == pytest.approx(mean_loss(model, examples, micro_batch_tokens), rel=1e-12)
        assert_same(trained, expected, 1e-10)


def test_weights_in_fp32_can_be_computed_in_bf16() -> None:
    """As on a GPU when all weights are trained."""
    model, expected = make("llama, tied head", PACKED_ATTENTION, "full")
    reference = accumulate_gradients(model.float(), rows(), 10_000)
    model, trained = make("llama, tied head", PACKED_ATTENTION, "full")
    with torch.autocast("cpu", torch.bfloat16):
        loss = accumulate_gradients(model.float(), rows(), 10_000)
    assert loss == pytest.approx(reference, rel=2e-2)
    assert loss != pytest.approx(reference, rel=1e-5)
    for name, parameter in trained.items():
        assert parameter.grad.dtype == torch.float32
        assert torch.cosine_similarity(parameter.grad.flatten(), expected[name].grad.flatten(), 0) > 0.98


def test_what_is_not_trained_gets_no_gradient() -> None:
    model, trained = make("llama, tied head", PACKED_ATTENTION, "lora")
    accumulate_gradients(model, rows(), 10_000)
    ours = {id(parameter) for parameter in trained.values()}
    assert all(p.grad is None for p in model.parameters() if id(p) not in ours)


def test_log_probabilities_come_in_the_order_of_the_examples() -> None:
    model, _ = make("llama, tied head", PACKED_ATTENTION, "lora")
    examples = rows()
    found = trained_logprobs(model, examples, 80)
    for example, logprobs in zip(examples, found, strict=True):
        assert logprobs == pytest.approx(trained_logprobs(model, [example], 80)[0], rel=1e-10)


def test_the_same_batch_in_another_order_sums_in_the_same_order() -> None:
    gradients = []
    for examples in (rows(), rows()[::-1]):
        model, trained = make("llama, tied head", PACKED_ATTENTION, "lora")
        accumulate_gradients(model.float(), examples, 80)
        gradients.append({name: parameter.grad for name, parameter in trained.items()})
    assert all(torch.equal(gradient, gradients[1][name]) for name, gradient in gradients[0].items())
