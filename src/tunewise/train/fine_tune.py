"""The training stage: examples in, an adapter folder in PEFT's format out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunewise.chat.template import TEMPLATE_FILE
from tunewise.errors import RunFolderError
from tunewise.models.adapters import save_adapter
from tunewise.models.base import BaseModel, load_base
from tunewise.progress import Progress
from tunewise.records import Example, RowTokens, TrainedTokens
from tunewise.store.files import read_json, sha256_of_file, write_json, write_jsonl, write_text
from tunewise.train.loop import StepMetrics, train_lora
from tunewise.train.objectives import trained_logprobs
from tunewise.train.rows import (
    TrainingRows,
    describe_dropped,
    encode_rows,
    instruction_of,
    training_template,
)
from tunewise.train.spec import TrainSpec

MODEL_FOLDER = "model"
METRICS_FILE = "metrics.jsonl"
TOKENS_FILE = "trained_tokens.json"
"""What the trained weights say of some validation rows, for the parity certificate."""
RECORDED_ROWS = 32
"""The first of the validation rows, in their order. Every row goes through all that was trained, so most
differences show in the first one; more make it likelier that a rare kind of row is among them."""


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
    instructed_examples: int = 0
    """Training examples that were trained under their instruction; the others without."""
    dropped_lines: list[int] = field(default_factory=list)
    """Lines of the data whose rows were left out of training and validation as unusable."""


def fine_tune(
    base: BaseModel,
    train: Sequence[Example],
    validation: Sequence[Example],
    spec: TrainSpec,
    out: Path,
    data: Path,
    progress: Progress,
    instructions: str | None = None,
) -> TrainingSummary:
    """Train LoRA to answer with and without instructions; writes `out/model/` and what was measured.

    `instructions` are those of rows without a system message of their own; see `TrainSpec.instruction_share`.

    The model folder carries a chat template that adds no system block of its own, so that serving sends
    exactly what was trained. Raises `DataError` for rows that cannot be trained on, by line in `data`.
    """
    loaded = load_base(base)
    template = training_template(loaded.tokenizer)
    train_side = encode_rows(template, train, spec, data, instructions)
    # Validated as it will be asked.
    as_asked = spec.model_copy(update={"instruction_share": 0.0})
    validation_side = encode_rows(template, validation, as_asked, data)
    dropped = sorted([*train_side.dropped_lines, *validation_side.dropped_lines])
    if dropped:
        progress.say(describe_dropped(dropped))
    if not template.takes_system() and any(instruction_of(example, instructions) for example in train):
        progress.say("  the chat template takes no system message: all rows are trained without instructions")
    result = train_lora(loaded.model, train_side.rows, validation_side.rows, spec, progress)

    scratch = out / f".{MODEL_FOLDER}.tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    save_adapter(scratch, result.layers, spec.rank, spec.alpha, base.reference)
    write_text(scratch / TEMPLATE_FILE, template.source)
    digest = sha256_of_file(scratch / "adapter_model.safetensors")
    shutil.rmtree(out / MODEL_FOLDER, ignore_errors=True)
    scratch.replace(out / MODEL_FOLDER)
    write_jsonl(out / METRICS_FILE, (asdict(metrics) for metrics in result.metrics))
    rows = tuple(_record_tokens(loaded.model, validation_side, spec))
    precision = str(loaded.model.dtype).removeprefix("torch.")
    write_json(out / TOKENS_FILE, asdict(TrainedTokens(precision, rows)))
    return TrainingSummary(
        examples=len(train_side.rows),
        validation_examples=len(validation_side.rows),
        epochs=spec.num_epochs(len(train_side.rows)),
        steps=len(result.metrics),
        best_step=result.best_step,
        tokens=result.num_tokens,
        seconds=result.seconds,
        validation_loss=result.best_loss,
        adapter_sha256=digest,
        curve=[_curve_point(metrics) for metrics in result.metrics],
        instructed_examples=train_side.num_instructed,
        dropped_lines=dropped,
    )


def read_trained_tokens(out: Path) -> TrainedTokens:
    """What `fine_tune` recorded in the run folder `out`. Raises `RunFolderError` if it is gone or damaged."""
    try:
        value = read_json(out / TOKENS_FILE)
        rows = (RowTokens(r["example_id"], tuple(r["ids"]), tuple(r["logprobs"])) for r in value["rows"])
        return TrainedTokens(value["precision"], tuple(rows))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunFolderError(
            f"{out / TOKENS_FILE} cannot be read, so nobody can say whether the model was kept as it was "
            f"trained ({error}): give another --out"
        ) from error


def _record_tokens(model: Any, side: TrainingRows, spec: TrainSpec) -> Iterator[RowTokens]:
    """The first rows, computed in packs as in training, not one by one as the engine does."""
    recorded = side.rows[:RECORDED_ROWS]
    logprobs = trained_logprobs(model, recorded, spec.micro_batch_tokens)
    for example, row, row_logprobs in zip(side.examples, recorded, logprobs, strict=False):
        yield RowTokens(example.id, tuple(row.ids), tuple(row_logprobs))


def _curve_point(metrics: StepMetrics) -> dict[str, Any]:
    return {
        "step": metrics.step,
        "train_loss": metrics.train_loss,
        "validation_loss": metrics.validation_loss,
    }
