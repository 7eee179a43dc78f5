"""How many operations a step needs, how many this machine can do, and where a step's time goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from training.trainers import ALPHA, MICRO_BATCH_TOKENS, RANK, SEED
from tunewise.chat.packing import pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample
from tunewise.models.base import BaseModel, load_base
from tunewise.train.lora import LoRALinear, add_lora
from tunewise.train.objectives import accumulate_gradients


def count_operations(model: Any, examples: Sequence[TokenizedExample]) -> float:
    """Multiplications and additions of matrix products in a LoRA step over one batch, attention left out.

    A product with a frozen matrix counts twice (forward, and for its input's gradient), one with a trained
    matrix three times; once less where the input needs no gradient, as in the first layer. The last layer's
    output and network, and the head, only count where a prediction carries loss.
    """
    packs = [
        pack_examples([examples[i] for i in part]) for part in split_by_tokens(examples, MICRO_BATCH_TOKENS)
    ]
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}
    last = f".{model.config.num_hidden_layers - 1}."
    head = model.get_output_embeddings().weight.numel()
    total = 0.0
    for pack in packs:
        predicting = len(torch.unique(pack.predicting))
        for name, layer in layers.items():
            pruned = last in name and not name.endswith(("q_proj", "k_proj", "v_proj"))
            rows = predicting if pruned else pack.num_tokens
            reads_embedding = ".layers.0." in name and name.endswith(("q_proj", "k_proj", "v_proj"))
            passes = 1 if reads_embedding else 2
            low = passes * layer.a.numel() + layer.a.numel() + 3 * layer.b.numel()
            total += 2 * rows * (passes * layer.base.weight.numel() + low)
        total += 2 * len(pack.predicting) * 2 * head
    return total


def measure_peak(model: Any, size: int = 2048, repeats: int = 8) -> float:
    """The operations per second of one large product in the model's precision, at best."""
    a, b = (torch.randn(size, size, device=model.device).to(model.dtype) for _ in range(2))
    out = torch.empty_like(a)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("flash_attention", "efficient_attention", "aten::index_select", "aten::index_copy"),
    "the head's softmax": ("softmax", "aten::amax"),
}


def measure_shares(base: BaseModel, examples: Sequence[TokenizedExample]) -> dict[str, float]:
    """The share of a step's time that each kind of work takes, by the profiler; the second step of two."""
    model = load_base(base).model
    add_lora(model, RANK, ALPHA, SEED)
    accumulate_gradients(model, examples, MICRO_BATCH_TOKENS)
    activity = ProfilerActivity.CUDA if model.device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiled:
        accumulate_gradients(model, examples, MICRO_BATCH_TOKENS)
    shares = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in profiled.key_averages():
        taken = (
            event.self_device_time_total if activity == ProfilerActivity.CUDA else event.self_cpu_time_total
        )
        kind = next((k for k, names in KINDS.items() if any(n in event.key for n in names)), "the rest")
        shares[kind] += taken
    total = sum(shares.values())
    return {kind: taken / total for kind, taken in shares.items()}
