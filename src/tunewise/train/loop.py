"""The training loop, flat: order the examples, step, validate, keep the best."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tunewise.chat.template import TokenizedExample
from tunewise.errors import TrainingError
from tunewise.progress import Progress
from tunewise.train.lora import LoRALinear, add_lora
from tunewise.train.objectives import accumulate_gradients, mean_loss
from tunewise.train.spec import TrainSpec


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """What one optimiser step, and the validation after it if there was one, measured."""

    step: int
    learning_rate: float
    train_loss: float
    """Mean negative log-likelihood, in nats, over the step's trained tokens."""
    validation_loss: float | None
    tokens: int
    seconds: float
    """Since training began."""


@dataclass(frozen=True, slots=True)
class TrainedAdapter:
    """The best checkpoint by validation loss, and how the run went."""

    layers: dict[str, tuple[Tensor, Tensor]]
    metrics: list[StepMetrics]
    best_step: int
    best_loss: float
    """Mean validation loss at `best_step`, in nats per trained token."""
    num_tokens: int
    seconds: float


def train_lora(
    model: Any,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    spec: TrainSpec,
    progress: Progress,
) -> TrainedAdapter:
    """Train LoRA on `model` (a transformers causal LM with packed attention), in place.

    Leaves the model with the weights that are kept, which need not be those of the last step.
    Raises `TrainingError` when the loss stops being a number.
    """
    torch.manual_seed(spec.seed)
    layers = add_lora(model, spec.rank, spec.alpha, spec.seed)
    parameters = [p for layer in layers.values() for p in (layer.a, layer.b)]
    optimizer = torch.optim.AdamW(parameters, lr=spec.learning_rate, weight_decay=spec.weight_decay)
    batches = order_batches(len(train), spec)
    validate_after = validation_steps(len(batches), spec.validations)
    metrics: list[StepMetrics] = []
    best_loss, best_step, best_layers = math.inf, 0, _copy_of(layers)
    tokens, started = 0, time.perf_counter()

    with progress.task("training", len(batches)) as task:
        for step, batch in enumerate(batches, start=1):
            rate = spec.learning_rate * schedule(step, len(batches), spec.warmup_share)
            for group in optimizer.param_groups:
                group["lr"] = rate
            examples = [train[index] for index in batch]
            loss = accumulate_gradients(model, examples, spec.micro_batch_tokens)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} at step {step}: lower the learning rate ({rate:.2g})"
                )
            torch.nn.utils.clip_grad_norm_(parameters, spec.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            tokens += sum(len(example.ids) for example in examples)

            validation_loss = None
            if step in validate_after:
                validation_loss = mean_loss(model, validation, spec.micro_batch_tokens)
                if validation_loss < best_loss:
                    best_loss, best_step, best_layers = validation_loss, step, _copy_of(layers)
            seconds = time.perf_counter() - started
            metrics.append(StepMetrics(step, rate, loss, validation_loss, tokens, seconds))
            task.advance(1, f"loss {loss:.3f}, {tokens / seconds:.0f} tokens/s")

    seconds = time.perf_counter() - started
    _put_back(layers, best_layers)
    return TrainedAdapter(best_layers, metrics, best_step, best_loss, tokens, seconds)


def order_batches(num_examples: int, spec: TrainSpec) -> list[list[int]]:
    """Which examples make up each step: every epoch shuffled anew, none dropped, from the seed alone."""
    generator = torch.Generator().manual_seed(spec.seed)
    batches = []
    for _ in range(spec.num_epochs(num_examples)):
        order = torch.randperm(num_examples, generator=generator).tolist()
        batches += [order[i : i + spec.batch_size] for i in range(0, num_examples, spec.batch_size)]
    return batches


def schedule(step: int, num_steps: int, warmup_share: float) -> float:
    """The share of the peak learning rate at `step` (from 1): linear up, then linear down to 0."""
    warmup = math.ceil(num_steps * warmup_share)
    if step <= warmup:
        return step / warmup
    return (num_steps - step + 1) / (num_steps - warmup)


def validation_steps(num_steps: int, validations: int) -> set[int]:
    """Evenly spaced steps, the last one always among them."""
    return {round(num_steps * (i + 1) / validations) for i in range(validations)} - {0} | {num_steps}


@torch.no_grad()
def _put_back(layers: dict[str, LoRALinear], kept: dict[str, tuple[Tensor, Tensor]]) -> None:
    for name, (a, b) in kept.items():
        layers[name].a.copy_(a)
        layers[name].b.copy_(b)


def _copy_of(layers: dict[str, LoRALinear]) -> dict[str, tuple[Tensor, Tensor]]:
    return {name: (layer.a.detach().clone(), layer.b.detach().clone()) for name, layer in layers.items()}
