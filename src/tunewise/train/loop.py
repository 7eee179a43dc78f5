"""The training loop, flat: order the examples, step, validate, keep the best, write it down."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tunewise.chat.template import TokenizedExample
from tunewise.errors import TrainingError
from tunewise.train.checkpoints import Checkpoints, TrainState
from tunewise.train.interrupts import deferred_interrupts
from tunewise.train.memory import compute_within_memory
from tunewise.train.objectives import accumulate_gradients, mean_nll, trained_logprobs
from tunewise.train.spec import ResolvedSpec, ScheduleName
from tunewise.train.tuning import Tuning
from tunewise.train.watch import StepMetrics, Watch

RECORDED_ROWS = 32
"""The first of the validation rows, in their order. Every row goes through all that was trained, so most
differences show in the first one; more make it likelier that a rare kind of row is among them."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """How a training went; the model has the best weights by validation loss."""

    metrics: list[StepMetrics]
    best_step: int
    best_loss: float
    """Mean validation loss at `best_step`, in nats per trained token."""
    logprobs: list[list[float]]
    """What those weights say of the trained tokens of the first `RECORDED_ROWS` validation rows. It is of the
    validation that chose them, computed in packs as training is; the engine computes row by row."""
    num_tokens: int
    seconds: float
    micro_batch_tokens: int
    """Fewer than the spec asks for where memory did not suffice; then the bytes may differ elsewhere."""
    threads: int
    """Of the processor."""


def train_weights(
    tuning: Tuning,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    spec: ResolvedSpec,
    watches: Sequence[Watch] = (),
    checkpoints: Checkpoints | None = None,
    threads: int | None = None,
) -> TrainingResult:
    """Train `tuning.weights` in place, going on from the newest checkpoint where there is one.

    Computes on `threads` (None is torch's own number), or on as many as it did before an interruption.
    Leaves the model with the weights that are kept, which need not be those of the last step.
    Raises `TrainingError` when a loss stops being a number, with the best weights so far put back, and
    KeyboardInterrupt, after the step in hand and a checkpoint, when the process is asked to stop.
    """
    weights = tuning.weights
    optimizer = torch.optim.AdamW(
        weights.values(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True
    )
    state = checkpoints.restore(weights, optimizer) if checkpoints else None
    state = state or TrainState(spec.micro_batch_tokens, threads or torch.get_num_threads())
    batches = order_batches(len(train), spec)
    validate_after = validation_steps(len(batches), spec.validations)

    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(state.threads)
        for watch in watches:
            stack.callback(watch.on_end)
            watch.on_start(len(batches), state.metrics)
        interrupts = stack.enter_context(deferred_interrupts())
        started = time.perf_counter() - state.seconds
        for step, batch in enumerate(batches[state.step :], start=state.step + 1):
            if state.stale_validations >= spec.patience:
                break
            rate = spec.learning_rate * schedule(step, len(batches), spec.warmup_share, spec.schedule)
            for group in optimizer.param_groups:
                group["lr"] = rate
            examples = [train[index] for index in batch]
            loss = _accumulate(tuning, examples, optimizer, state, _step_seed(spec.seed, step))
            if not math.isfinite(loss):
                if checkpoints:
                    checkpoints.write(state, weights, optimizer)
                raise _diverged("loss", loss, step, rate, weights, state)
            nn.utils.clip_grad_norm_(weights.values(), spec.max_gradient_norm)
            optimizer.step()
            optimizer.zero_grad()
            state.step = step
            state.tokens += sum(len(example.ids) for example in examples)

            validation_loss = None
            if step in validate_after:
                logprobs = _validate(tuning, validation, state)
                validation_loss = mean_nll(logprobs)
                if not math.isfinite(validation_loss):
                    raise _diverged("validation loss", validation_loss, step, rate, weights, state)
                state.stale_validations += 1
                if validation_loss < state.best_loss:
                    state.best_loss, state.best_step, state.stale_validations = validation_loss, step, 0
                    state.best_weights = _copy_of(weights)
                    state.best_logprobs = logprobs[:RECORDED_ROWS]
            state.seconds = time.perf_counter() - started
            metrics = StepMetrics(step, rate, loss, validation_loss, state.tokens, state.seconds)
            state.metrics.append(metrics)
            for watch in watches:
                watch.on_step(metrics)
            if checkpoints and (interrupts.came or checkpoints.is_due()):
                checkpoints.write(state, weights, optimizer)
            if interrupts.came:
                raise KeyboardInterrupt

    _put_back(weights, state.best_weights)
    return TrainingResult(
        state.metrics,
        state.best_step,
        state.best_loss,
        state.best_logprobs,
        state.tokens,
        state.seconds,
        state.micro_batch_tokens,
        state.threads,
    )


def order_batches(num_examples: int, spec: ResolvedSpec) -> list[list[int]]:
    """Which examples make up each step: every epoch shuffled anew, none dropped, from the seed alone."""
    generator = torch.Generator().manual_seed(spec.seed)
    batches = []
    for _ in range(spec.epochs):
        order = torch.randperm(num_examples, generator=generator).tolist()
        batches += [order[i : i + spec.batch_size] for i in range(0, num_examples, spec.batch_size)]
    return batches


def schedule(step: int, num_steps: int, warmup_share: float, name: ScheduleName = "linear") -> float:
    """The share of the peak learning rate at `step` (from 1): linear up, then as `name` says, never to 0."""
    warmup = math.ceil(num_steps * warmup_share)
    if step <= warmup:
        return step / warmup
    left = (num_steps - step + 1) / (num_steps - warmup)
    return {"linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left)), "constant": 1.0}[name]


def validation_steps(num_steps: int, validations: int) -> set[int]:
    """Evenly spaced steps, the last one always among them."""
    return {round(num_steps * (i + 1) / validations) for i in range(validations)} - {0} | {num_steps}


def _accumulate(
    tuning: Tuning,
    examples: Sequence[TokenizedExample],
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    seed: int,
) -> float:
    """The mean loss of a step, with its gradient in the weights."""

    def compute(micro_batch_tokens: int) -> float:
        optimizer.zero_grad()
        # A step that is done again, here or after an interruption, drops out the same.
        torch.manual_seed(seed)
        with tuning.computing():
            return accumulate_gradients(tuning.model, examples, micro_batch_tokens)

    loss, state.micro_batch_tokens = compute_within_memory(compute, examples, state.micro_batch_tokens)
    return loss


def _validate(tuning: Tuning, examples: Sequence[TokenizedExample], state: TrainState) -> list[list[float]]:
    """What `trained_logprobs` says of the examples."""

    def compute(micro_batch_tokens: int) -> list[list[float]]:
        with tuning.computing():
            return trained_logprobs(tuning.model, examples, micro_batch_tokens)

    logprobs, state.micro_batch_tokens = compute_within_memory(compute, examples, state.micro_batch_tokens)
    return logprobs


def _diverged(
    what: str, loss: float, step: int, rate: float, weights: dict[str, nn.Parameter], state: TrainState
) -> TrainingError:
    """What to say of a loss that is no number, once the best weights so far are put back."""
    _put_back(weights, state.best_weights)
    return TrainingError(
        f"the {what} became {loss} at step {step}: lower the learning rate ({rate:.2g})",
        best_step=state.best_step,
    )


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {step}".encode()).digest()[:8], "big")


@torch.no_grad()
def _put_back(weights: dict[str, nn.Parameter], kept: dict[str, Tensor]) -> None:
    for name, weight in kept.items():
        weights[name].copy_(weight)


def _copy_of(weights: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in weights.items()}
