"""The training stage: examples in; an adapter in PEFT's format, or a whole `transformers` model, out."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tunewise.chat.template import TEMPLATE_FILE, ChatTemplate, TokenizedExample
from tunewise.errors import RunFolderError, TrainingError, TunewiseError
from tunewise.models.base import BaseModel, LoadedModel, precision_on
from tunewise.progress import Progress
from tunewise.records import Example, RowTokens, TrainedTokens
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, sha256_of_file, write_json, write_text
from tunewise.train.checkpoints import CHECKPOINTS_FOLDER, Checkpoints
from tunewise.train.estimate import EstimateWatch
from tunewise.train.loop import train_weights
from tunewise.train.rows import (
    TrainingRows,
    describe_dropped,
    encode_rows,
    instruction_of,
    training_template,
)
from tunewise.train.spec import ResolvedSpec, TrainSpec
from tunewise.train.threads import choose_threads
from tunewise.train.tuning import Tuning, open_tuning
from tunewise.train.watch import MetricsFile, ProgressWatch, StepMetrics, Watch

MODEL_FOLDER = "model"
METRICS_FILE = "metrics.jsonl"
TOKENS_FILE = "trained_tokens.json"
"""What the trained weights say of some validation rows, for the parity certificate."""


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
    weights_sha256: str
    micro_batch_tokens: int
    """Fewer than the spec asks for where memory did not suffice: then only the same memory gives the same
    bytes."""
    threads: int
    """Of the processor; another number may round sums otherwise."""
    precision: str
    """Of the computation: `float32`, `bfloat16`."""
    estimate: dict[str, Any] | None
    """What was said of the training, or of what was left of it, and what came true: a `ScoredEstimate`."""
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
    *,
    watches: Sequence[Watch] = (),
    settings: Settings | None = None,
) -> TrainingSummary:
    """Train to answer with and without instructions; writes `out/model/` and, beside it, what was measured.

    `instructions` are those of rows without a system message of their own; see `TrainSpec.instruction_share`.
    An interrupted training goes on from its checkpoint in `out`, which stays there until
    `remove_checkpoints`. The model folder carries a chat template that adds no system block of its own, so
    that serving sends exactly what was trained. Raises `DataError` for rows that cannot be trained on, by
    line in `data`; `RunFolderError` where `out` cannot be written; `TrainingError`.
    """
    settings = settings or get_settings()
    resolved = spec.resolve(len(train))
    loaded, tuning = open_tuning(base, resolved, settings)
    template = training_template(loaded.tokenizer)
    train_side, validation_side = _encode(template, train, validation, spec, data, instructions, progress)
    identity = {**resolved.identity(), "rows": _hash_rows([*train_side.rows, *validation_side.rows])}
    checkpoints = Checkpoints(out / CHECKPOINTS_FOLDER, identity, spec.checkpoint_seconds)
    estimates = EstimateWatch(tuning, train_side.rows, validation_side.rows, resolved, progress, settings)
    all_watches: tuple[Watch, ...] = (
        MetricsFile(out / METRICS_FILE),
        estimates,
        ProgressWatch(progress, settings, estimates.seconds_left),
        *watches,
    )
    threads = choose_threads(tuning.model, settings)
    try:
        result = train_weights(
            tuning, train_side.rows, validation_side.rows, resolved, all_watches, checkpoints, threads
        )
        scored = estimates.score()
        if scored is not None:
            progress.say(scored.describe())
        digest = _write_model(out / MODEL_FOLDER, tuning, template)
        rows = tuple(_record_tokens(validation_side, result.logprobs))
        write_json(out / TOKENS_FILE, asdict(TrainedTokens(_precision(loaded, resolved), rows)))
    except TrainingError as error:
        if not error.best_step:
            raise
        _write_model(out / MODEL_FOLDER, tuning, template)
        raise TrainingError(
            f"{error}. The best weights so far, of step {error.best_step}, are in {out / MODEL_FOLDER}",
            best_step=error.best_step,
        ) from error
    except (OSError, SafetensorError) as error:
        if isinstance(error, TunewiseError):
            raise
        raise RunFolderError(
            f"cannot write to {out}: {error}. Make room, and the same command goes on from its checkpoint"
        ) from error
    return TrainingSummary(
        examples=len(train_side.rows),
        validation_examples=len(validation_side.rows),
        epochs=resolved.epochs,
        steps=len(result.metrics),
        best_step=result.best_step,
        tokens=result.num_tokens,
        seconds=result.seconds,
        validation_loss=result.best_loss,
        weights_sha256=digest,
        micro_batch_tokens=result.micro_batch_tokens,
        threads=result.threads,
        precision=_precision(loaded, resolved),
        estimate=asdict(scored) if scored else None,
        curve=[_curve_point(metrics) for metrics in result.metrics],
        instructed_examples=train_side.num_instructed,
        dropped_lines=sorted([*train_side.dropped_lines, *validation_side.dropped_lines]),
    )


def remove_checkpoints(out: Path) -> None:
    """Once what came of the training is kept."""
    shutil.rmtree(out / CHECKPOINTS_FOLDER, ignore_errors=True)


def _encode(
    template: ChatTemplate,
    train: Sequence[Example],
    validation: Sequence[Example],
    spec: TrainSpec,
    data: Path,
    instructions: str | None,
    progress: Progress,
) -> tuple[TrainingRows, TrainingRows]:
    """The rows of both sides, and a word about those that are not as the user may expect."""
    train_side = encode_rows(template, train, spec, data, instructions)
    # Validated as it will be asked.
    as_asked = spec.model_copy(update={"instruction_share": 0.0})
    validation_side = encode_rows(template, validation, as_asked, data)
    dropped = sorted([*train_side.dropped_lines, *validation_side.dropped_lines])
    if dropped:
        progress.say(describe_dropped(dropped))
    if not template.takes_system() and any(instruction_of(example, instructions) for example in train):
        progress.say("  the chat template takes no system message: all rows are trained without instructions")
    return train_side, validation_side


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


def _write_model(folder: Path, tuning: Tuning, template: ChatTemplate) -> str:
    """Put the model's folder in place, whole; returns the hash of its weights."""
    scratch = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    tuning.save(scratch)
    write_text(scratch / TEMPLATE_FILE, template.source)
    digests = [sha256_of_file(file) for file in sorted(scratch.glob("*.safetensors"))]
    shutil.rmtree(folder, ignore_errors=True)
    scratch.replace(folder)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _hash_rows(rows: Sequence[TokenizedExample]) -> str:
    """What the tokenizer made of the data, so that a training never goes on with other rows."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.ids} {row.trained}".encode())
    return digest.hexdigest()


def _precision(loaded: LoadedModel, spec: ResolvedSpec) -> str:
    """What was computed in, and for whole models what they will be served in."""
    if spec.tuning == "lora":
        return str(loaded.model.dtype).removeprefix("torch.")
    return precision_on(loaded.device)


def _record_tokens(side: TrainingRows, logprobs: Sequence[Sequence[float]]) -> Iterator[RowTokens]:
    """The first rows of a side, with the log-probabilities of their trained tokens."""
    first = slice(len(logprobs))
    for example, row, of_row in zip(side.examples[first], side.rows[first], logprobs, strict=True):
        yield RowTokens(example.id, tuple(row.ids), tuple(of_row))


def _curve_point(metrics: StepMetrics) -> dict[str, Any]:
    return {
        "step": metrics.step,
        "train_loss": metrics.train_loss,
        "validation_loss": metrics.validation_loss,
    }
