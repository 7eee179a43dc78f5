"""One epoch of tunewise's steps, and one of TRL's: same start, rows, order, optimiser and schedule."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from training.workloads import Workload
from tunewise.chat.template import TokenizedExample
from tunewise.models.base import BaseModel, load_base
from tunewise.train.lora import add_lora
from tunewise.train.objectives import accumulate_gradients, mean_loss

RANK, ALPHA, LEARNING_RATE, MAX_NORM, SEED = 16, 32.0, 1e-3, 1.0, 0
MICRO_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Epoch:
    seconds: float
    """Of the steps alone, optimiser included."""
    validation_loss: float | None


def train_ours(base: BaseModel, workload: Workload, batch_size: int, *, validate: bool) -> Epoch:
    model = load_base(base).model
    layers = add_lora(model, RANK, ALPHA, SEED)
    parameters = [p for layer in layers.values() for p in (layer.a, layer.b)]
    optimizer = torch.optim.AdamW(parameters, weight_decay=0.0, fused=True)
    rows, started = workload.train, time.perf_counter()
    for start in range(0, len(rows), batch_size):
        # As TRL: linearly down to 0, without a warm-up.
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 - start / len(rows))
        accumulate_gradients(model, rows[start : start + batch_size], MICRO_BATCH_TOKENS)
        torch.nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()
    _wait(model.device)
    seconds = time.perf_counter() - started
    return Epoch(seconds, mean_loss(model, workload.validation, MICRO_BATCH_TOKENS) if validate else None)


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Times the steps alone, not the set-up around them."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.started = time.perf_counter()

    def on_train_end(self, *_: Any, model: Any, **__: Any) -> None:
        _wait(model.device)
        self.seconds = time.perf_counter() - self.started


def train_trl(base: BaseModel, workload: Workload, batch_size: int, *, validate: bool) -> Epoch:
    """Its defaults for GPUs (bf16, gradient checkpointing) are off on a CPU, where they only slow it down."""
    ours = load_base(base)
    tokenizer, dtype, on_gpu = ours.tokenizer, ours.model.dtype, ours.device.type == "cuda"
    starts = {name: layer.a.detach() for name, layer in add_lora(ours.model, RANK, ALPHA, SEED).items()}
    del ours  # Or its weights would count as TRL's memory.
    dataset = Dataset.from_list(
        [{"input_ids": row.ids, "completion_mask": list(map(int, row.trained))} for row in workload.train]
    )
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=LEARNING_RATE,
            max_grad_norm=MAX_NORM,
            completion_only_loss=True,
            train_sampling_strategy="sequential",
            gradient_checkpointing=False,
            bf16=on_gpu,
            fp16=False,
            use_cpu=not on_gpu,
            report_to=[],
            save_strategy="no",
            logging_strategy="epoch",
            disable_tqdm=True,
            dataloader_pin_memory=on_gpu,
            seed=SEED,
        )
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(base.folder, dtype=dtype),
            args=config,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=RANK,
                lora_alpha=int(ALPHA),
                lora_dropout=0.0,
                target_modules="all-linear",
                task_type="CAUSAL_LM",
            ),
            callbacks=[clock],
        )
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                path, is_a, _ = name.removeprefix("base_model.model.").partition(".lora_A.")
                if is_a:
                    parameter.copy_(starts[path])
        trainer.train()
    loss = _validation_loss(trainer.model, workload.validation) if validate else None
    return Epoch(clock.seconds, loss)


@torch.no_grad()
def _validation_loss(model: Any, rows: list[TokenizedExample]) -> float:
    """Row by row through the model as it is, so by none of the code that is compared."""
    model.eval()
    total, count = 0.0, 0
    for row in rows:
        ids = torch.tensor([row.ids], device=model.device)
        logits: Tensor = model(input_ids=ids).logits[0, :-1].float()
        trained = torch.tensor(row.trained[1:], device=model.device)
        total += F.cross_entropy(logits[trained], ids[0, 1:][trained], reduction="sum").item()
        count += sum(row.trained)
    return total / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
