"""The training stage: examples in, an adapter folder in PEFT's format out."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.chat.template import TEMPLATE_FILE, ChatTemplate, TokenizedExample
from tunewise.errors import DataError
from tunewise.models.adapters import save_adapter
from tunewise.models.base import BaseModel, load_base
from tunewise.progress import Progress
from tunewise.records import Example
from tunewise.store.files import sha256_of_file, write_jsonl, write_text
from tunewise.train.loop import StepMetrics, train_lora
from tunewise.train.spec import TrainSpec

MODEL_FOLDER = "model"
METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What the manifest says of a training."""

    examples: int
    validation_examples: int
    epochs: int
    steps: int
    best_step: int
    tokens: int
    """Computed in training steps; prompts included, validation not."""
    seconds: float
    """Of the loop, validation included; loading the base not."""
    validation_loss: float
    adapter_sha256: str
    curve: list[dict[str, Any]]
    """Step, train_loss, validation_loss (None where it was not measured)."""


def fine_tune(
    base: BaseModel,
    train: Sequence[Example],
    validation: Sequence[Example],
    spec: TrainSpec,
    out: Path,
    data: Path,
    progress: Progress,
) -> TrainingSummary:
    """Train LoRA to answer without instructions; writes `out/model/` and `out/metrics.jsonl`.

    The model folder carries a chat template that adds no system block of its own, so that serving sends
    exactly what was trained. Raises `DataError` for rows longer than `spec.max_tokens`, by line in `data`.
    """
    loaded = load_base(base)
    template = ChatTemplate(loaded.tokenizer)
    bare = ChatTemplate(loaded.tokenizer, template.without_default_system())
    train_rows, validation_rows = (
        tokenize(bare, side, spec.max_tokens, data) for side in (train, validation)
    )
    result = train_lora(loaded.model, train_rows, validation_rows, spec, progress)

    scratch = out / f".{MODEL_FOLDER}.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    save_adapter(scratch, result.layers, spec.rank, spec.alpha, base.reference)
    write_text(scratch / TEMPLATE_FILE, bare.source)
    digest = sha256_of_file(scratch / "adapter_model.safetensors")
    shutil.rmtree(out / MODEL_FOLDER, ignore_errors=True)
    scratch.replace(out / MODEL_FOLDER)
    write_jsonl(out / METRICS_FILE, (asdict(metrics) for metrics in result.metrics))
    return TrainingSummary(
        examples=len(train),
        validation_examples=len(validation),
        epochs=spec.num_epochs(len(train)),
        steps=len(result.metrics),
        best_step=result.best_step,
        tokens=result.num_tokens,
        seconds=result.seconds,
        validation_loss=result.best_loss,
        adapter_sha256=digest,
        curve=[_curve_point(metrics) for metrics in result.metrics],
    )


def refuse_long_rows(base: BaseModel, examples: Sequence[Example], spec: TrainSpec, data: Path) -> None:
    """Raise what `fine_tune` would say of a row that is too long, before hours go into anything else."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    template = ChatTemplate(tokenizer)
    tokenize(ChatTemplate(tokenizer, template.without_default_system()), examples, spec.max_tokens, data)


def tokenize(
    template: ChatTemplate, examples: Sequence[Example], max_tokens: int, data: Path
) -> list[TokenizedExample]:
    """Training rows of the examples, without their system messages."""
    rows = []
    for example in examples:
        turns = [message for message in example.messages if message.role != "system"]
        row = template.encode_example(turns)
        if len(row.ids) > max_tokens:
            raise DataError(
                data,
                f"this conversation has {len(row.ids)} tokens, more than the {max_tokens} that are trained "
                "on: shorten or remove it",
                line=example.line,
            )
        rows.append(row)
    return rows


def _curve_point(metrics: StepMetrics) -> dict[str, Any]:
    return {
        "step": metrics.step,
        "train_loss": metrics.train_loss,
        "validation_loss": metrics.validation_loss,
    }
