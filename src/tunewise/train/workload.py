"""What a training will compute, counted before it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.chat.packing import pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample
from tunewise.train.loop import order_batches, validation_steps
from tunewise.train.spec import ResolvedSpec
from tunewise.train.watch import StepMetrics


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Examples that are computed at once."""

    examples: Sequence[TokenizedExample]
    num_tokens: int
    """Computed, which may be fewer than the examples have."""
    num_trained: int
    """Tokens that carry loss."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is left to compute."""

    steps: list[list[MicroBatch]]
    """The micro-batches of each step."""
    validates: list[bool]
    """Whether a validation follows each step."""
    validation: list[MicroBatch]
    """One pass over the validation examples."""
    earliest_end: int
    """After so many steps patience may be over."""

    @property
    def micro_batches(self) -> list[MicroBatch]:
        """Those of all steps."""
        return [micro_batch for step in self.steps for micro_batch in step]

    @property
    def num_tokens(self) -> int:
        """Computed in steps and validations."""
        passes = sum(self.validates)
        return sum_tokens(self.micro_batches) + passes * sum_tokens(self.validation)


def plan_workload(
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    spec: ResolvedSpec,
    done: Sequence[StepMetrics],
    micro_batch_tokens: int,
) -> Workload:
    """What `train_weights` will compute after the steps that are `done`, unless it stops early."""
    batches = order_batches(len(train), spec)
    validate_after = validation_steps(len(batches), spec.validations)
    left = range(len(done) + 1, len(batches) + 1)
    validates = [step in validate_after for step in left]
    return Workload(
        [split_batch([train[i] for i in batches[step - 1]], micro_batch_tokens) for step in left],
        validates,
        split_batch(validation, micro_batch_tokens),
        _earliest_end(validates, spec.patience, done),
    )


def split_batch(examples: Sequence[TokenizedExample], micro_batch_tokens: int) -> list[MicroBatch]:
    """The micro-batches that the objectives make of `examples`."""
    parts = [[examples[i] for i in part] for part in split_by_tokens(examples, micro_batch_tokens)]
    packs = map(pack_examples, parts)
    return [
        MicroBatch(part, pack.num_tokens, len(pack.targets)) for part, pack in zip(parts, packs, strict=True)
    ]


def sum_tokens(micro_batches: Sequence[MicroBatch]) -> int:
    """Computed in all of them."""
    return sum(micro_batch.num_tokens for micro_batch in micro_batches)


def _earliest_end(validates: Sequence[bool], patience: int, done: Sequence[StepMetrics]) -> int:
    """The steps until patience is over if no validation to come is better than those before."""
    losses = [metrics.validation_loss for metrics in done if metrics.validation_loss is not None]
    # Without any before it, the first one is the best, and patience begins after it.
    bearable = patience + 1 if not losses else patience - (len(losses) - 1 - losses.index(min(losses)))
    validated_at = [index for index, validated in enumerate(validates, start=1) if validated]
    if bearable <= 0:
        return 0
    return validated_at[bearable - 1] if bearable <= len(validated_at) else len(validates)
