"""How fast this machine computes this training, and how much memory that takes: tried on its own rows.

Gradients are thrown away; weights, moments and random numbers are as before, so that a training ends with
the same bytes whether it was tried or not.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tunewise.chat.template import TokenizedExample
from tunewise.train.memory import compute_within_memory
from tunewise.train.objectives import accumulate_gradients, mean_loss
from tunewise.train.spec import ResolvedSpec
from tunewise.train.tuning import Tuning
from tunewise.train.workload import MicroBatch, Workload, split_batch, sum_tokens

PROBED_SHARE = 0.03
"""Of the tokens to be trained on, so much is tried for its time, beside what is tried for its memory."""
ENOUGH_TOKENS = 512
"""Of validation at once: on a CPU more are not computed faster, but fewer are slower (`docs/log.md`)."""
MAX_TYPICAL = 3
"""As many micro-batches of middling size are enough."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What things take, in seconds."""

    per_trained_token: float
    """Computed forward and backward."""
    per_validated_token: float
    per_update: float
    """Of the optimiser."""
    spread: tuple[float, float]
    """The fastest and the slowest micro-batch that was tried, over their mean: how steady this machine is."""


class Probe:
    """Computes single micro-batches as the loop does."""

    def __init__(self, tuning: Tuning, spec: ResolvedSpec) -> None:
        self.micro_batch_tokens = spec.micro_batch_tokens
        """Fewer than the spec asks for where memory did not suffice."""
        self._tuning = tuning
        self._spec = spec
        self._is_warm = False

    def measure_pace(self, work: Workload) -> Pace:
        """Try the largest micro-batch, and some typical ones, of what is left."""
        device = torch.device(self._tuning.model.device)
        weights = self._tuning.weights.values()
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            first, *tried = _choose_tried(work)
            if not self._is_warm:
                # What happens once in a process happens here. It also leaves gradients, beside which the
                # others need as much memory as in a step.
                self._time(first, accumulate_gradients)
                self._is_warm = True
            trained = [self._time(batch, accumulate_gradients) for batch in tried]
            for weight in weights:
                weight.grad = None
            per_trained_token = statistics.fmean(trained, [batch.num_tokens for batch in tried])
            return Pace(
                per_trained_token,
                self._time(self._choose_validated(work), mean_loss),
                self._time_update(list(weights)),
                (min(trained) / per_trained_token, max(trained) / per_trained_token),
            )

    def seconds(self, work: Workload, pace: Pace) -> float:
        """That trying `work` takes at this pace."""
        trained, validated = sum_tokens(_choose_tried(work)), self._choose_validated(work).num_tokens
        return trained * pace.per_trained_token + validated * pace.per_validated_token

    def _choose_validated(self, work: Workload) -> MicroBatch:
        """The largest; on a CPU, where that takes long, as much of it as training computes at once.

        More may take more memory: training keeps the states of all layers for its gradients, validation those
        of one at a time.
        """
        num_layers = self._tuning.model.config.get_text_config().num_hidden_layers
        trained, validated = _largest(work.micro_batches), _largest(work.validation)
        is_on_cpu = torch.device(self._tuning.model.device).type == "cpu"
        if not is_on_cpu or validated.num_tokens > num_layers * trained.num_tokens:
            return validated
        return _largest(split_batch(validated.examples, max(trained.num_tokens, ENOUGH_TOKENS)))

    def _time(
        self, batch: MicroBatch, compute: Callable[[Any, Sequence[TokenizedExample], int], float]
    ) -> float:
        """Seconds per token."""

        def compute_at_most(micro_batch_tokens: int) -> float:
            with self._tuning.computing():
                return compute(self._tuning.model, batch.examples, micro_batch_tokens)

        started = time.perf_counter()
        _, self.micro_batch_tokens = compute_within_memory(
            compute_at_most, batch.examples, self.micro_batch_tokens
        )
        return (time.perf_counter() - started) / batch.num_tokens

    def _time_update(self, weights: Sequence[nn.Parameter]) -> float:
        """That of a copy of the largest weight, for all of them."""
        copy = nn.Parameter(max(weights, key=torch.numel).detach().clone())
        optimizer = torch.optim.AdamW([copy], lr=0.0, weight_decay=self._spec.weight_decay, fused=True)
        for _ in range(2):  # The first one makes the moments.
            copy.grad = torch.zeros_like(copy)
            started = time.perf_counter()
            nn.utils.clip_grad_norm_([copy], self._spec.max_gradient_norm)
            optimizer.step()
            copy.view(-1)[0].item()  # Waits until an accelerator has done it.
            seconds = time.perf_counter() - started
        return seconds * sum(map(torch.numel, weights)) / copy.numel()


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process ever had: on the GPU that it computes on, or else in all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak + torch.mps.driver_allocated_memory() if device.type == "mps" else peak


def _choose_tried(work: Workload) -> list[MicroBatch]:
    """The smallest, some typical ones and the largest."""
    by_size = sorted(work.micro_batches, key=lambda batch: batch.num_tokens)
    return [by_size[0], *_typical(by_size), _largest(by_size)]


def _largest(micro_batches: Sequence[MicroBatch]) -> MicroBatch:
    """What takes most memory: that of hidden states, as there are never the logits of all at once."""
    return max(micro_batches, key=lambda batch: (batch.num_tokens, batch.num_trained))


def _typical(by_size: Sequence[MicroBatch]) -> list[MicroBatch]:
    """Some, evenly spaced by size, that together are no more than `PROBED_SHARE`."""
    number = min(int(PROBED_SHARE * len(by_size)), MAX_TYPICAL)
    return [by_size[len(by_size) * (i + 1) // (number + 1)] for i in range(number)]
