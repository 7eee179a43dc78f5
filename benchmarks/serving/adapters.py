"""What it costs that the streams of one batch belong to different adapters."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from results_file import Figure
from serving.bench import Bench
from serving.figures import paired_figure
from tunewise.models.base import BaseModel

NUM_ADAPTERS = 8
RANK = 16
TARGET_RATIO = 0.65


def measure_adapters(bench: Bench, base: BaseModel, streams: Sequence[int]) -> list[Figure]:
    """Adapters mixed in one batch of our engine, against one adapter for the whole batch."""
    names = [f"adapter-{number}" for number in range(NUM_ADAPTERS)]
    with tempfile.TemporaryDirectory() as folder:
        write_adapters(base, Path(folder), names)
        for name in names:
            bench.ours.call("load", model=name, path=f"{folder}/{name}")
    return [_measure(bench, number, names) for number in streams]


def _measure(bench: Bench, streams: int, names: list[str]) -> Figure:
    speeds: dict[int, list[float]] = {1: [], len(names): []}
    shares: list[float] = []
    for number in range(bench.rounds):
        for num_adapters in sorted(speeds, reverse=number % 2 == 0):
            prompts = bench.prompts.short(streams)
            turn = bench.ours.write(prompts, bench.new_tokens, models=names[:num_adapters])
            speeds[num_adapters].append(turn.tokens_per_second)
            print(
                f"round {number + 1}, {streams} streams, adapters: {num_adapters} {turn.describe()}",
                flush=True,
            )
        shares.append(bench.linear_share(turn, streams))
    return paired_figure(
        f"{streams} streams of {len(names)} adapters, against as many of one adapter: speed",
        "tokens/s",
        speeds[len(names)],
        speeds[1],
        TARGET_RATIO,
        f"the base's linear layers alone: {median(shares):.0%} of the time",
    )


def write_adapters(base: BaseModel, folder: Path, names: Sequence[str]) -> None:
    """Random rank-16 adapters of all linear layers, the same in every run, one folder each."""
    # The base's shapes are enough: an adapter's folder holds nothing of its weights.
    shapes = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base.folder))
    config = LoraConfig(
        r=RANK,
        lora_alpha=1,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(0)
    model = get_peft_model(shapes, config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    model.save_pretrained(folder, save_embedding_layers=False)
