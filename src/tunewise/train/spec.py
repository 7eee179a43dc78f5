"""What a training is asked to do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tunewise.errors import SpecError
from tunewise.store.files import read_json
from tunewise.train.auto import (
    AUTO_BATCH_SIZE,
    AUTO_LEARNING_RATES,
    AUTO_RANK,
    TuningName,
    auto_alpha,
    auto_epochs,
)

Auto = Literal["auto"]
ScheduleName = Literal["linear", "cosine", "constant"]

_NO_PART_OF_THE_RESULT = {"checkpoint_seconds"}


class TrainSpec(BaseModel):
    """One training, validated when built; the same spec, data and base give the same bytes.

    Fields that are "auto" are filled in by `resolve`, by the rules of `train/auto.py`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tuning: TuningName = "lora"
    """An adapter, all weights, or (as a control) all weights from random ones."""
    start: Path | None = None
    """The folder of a tuned model to go on from: an adapter of the same base, or a whole model."""
    rank: Annotated[int, Field(ge=1, le=512)] | Auto = "auto"
    """LoRA rank (Hu et al. 2021): the adapter's capacity."""
    alpha: Annotated[float, Field(gt=0)] | Auto = "auto"
    """The update is scaled by alpha / rank."""
    rslora: bool = False
    """Scale by alpha / sqrt(rank) instead (Kalajdzievski 2023), so that high ranks learn as fast."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the inputs of A that is dropped in training. Layers that read the same input share one mask,
    where PEFT draws one for each."""
    target_modules: tuple[str, ...] = ()
    """The last part of the names of the linear layers that get LoRA; none is all but the output head."""
    learning_rate: Annotated[float, Field(gt=0)] | Auto = "auto"
    """The peak of the schedule."""
    epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    """Passes over the training examples."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] | Auto = "auto"
    """Examples per optimiser step, however many micro-batches they are computed in."""
    schedule: ScheduleName = "linear"
    """How the rate goes on after the warm-up: down to nearly 0, or on at its peak."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of the steps in which the rate climbs linearly from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay (Loshchilov & Hutter 2017)."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""
    max_tokens: int = Field(2048, ge=1)
    """The longest example that is trained on; a longer one is unusable, never cut."""
    unusable_rows: Literal["refuse", "drop"] = "refuse"
    """What becomes of rows that are too long, have nothing to train or do not fit the chat template."""
    instruction_share: float = Field(0.25, ge=0, le=1)
    """Share of the training examples that keep their system message, or get the run's instructions.

    The model is asked without them and should answer as well under them; see `docs/log.md`. Messages that
    are a part of their rows' inputs (`Example.own_system`) are all kept, in training and in asking."""
    micro_batch_tokens: int = Field(4096, ge=1)
    """Tokens computed at once: bounds memory, never changes the loss. Halved where memory is too small."""
    validations: int = Field(2, ge=1)
    """How often validation loss is measured over the whole run; the best weights are kept."""
    patience: int = Field(3, ge=1)
    """Training stops early after this many validations in a row that brought nothing better."""
    seed: int = Field(0, ge=0)
    """Decides the initial weights, the order of the examples, and dropout."""
    checkpoint_seconds: float = Field(60.0, ge=0)
    """At least this long from one checkpoint to the next; 0 writes one after every step. No part of the
    result."""

    def resolve(self, num_examples: int) -> ResolvedSpec:
        """This spec for `num_examples` training examples, with nothing left to "auto".

        An adapter to go on from (`start`) decides rank, alpha, rsLoRA and targets. Raises `SpecError` where
        the spec asks for others.
        """
        fixed = _shape_of_adapter(self, self.start) if self.start and self.tuning == "lora" else {}
        values = self.model_dump() | fixed
        rank = AUTO_RANK if values["rank"] == "auto" else values["rank"]
        autos: dict[str, Any] = {
            "rank": rank,
            "alpha": auto_alpha(rank, rslora=values["rslora"]),
            "learning_rate": AUTO_LEARNING_RATES[self.tuning],
            "epochs": auto_epochs(num_examples),
            "batch_size": AUTO_BATCH_SIZE,
        }
        filled = {name: value for name, value in autos.items() if values[name] == "auto"}
        return ResolvedSpec.model_validate(values | filled)

    def identity(self) -> dict[str, Any]:
        """What of this spec decides the result, as JSON values by `training.<field>`."""
        values = self.model_dump(mode="json", exclude=_NO_PART_OF_THE_RESULT)
        return {f"training.{name}": value for name, value in values.items()}


class ResolvedSpec(TrainSpec):
    """A spec with numbers throughout."""

    rank: int
    alpha: float
    learning_rate: float
    epochs: int
    batch_size: int


def read_train_spec(file: Path | None, options: Mapping[str, Any]) -> TrainSpec:
    """The spec of a TOML file, and over it the `options` that are not None.

    Raises `SpecError` with what is wrong in one line.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8")) if file else {}
    except OSError as error:
        raise SpecError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SpecError(f"{file} is no TOML: {error}") from error
    values |= {name: value for name, value in options.items() if value is not None}
    try:
        return TrainSpec.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), first["msg"].removeprefix("Value error, ")
        given = f" is {first['input']!r}" if first["type"] != "extra_forbidden" else ""
        raise SpecError(f"{file or 'training'}: {name}{given}: {reason}") from error


def _shape_of_adapter(spec: TrainSpec, folder: Path) -> dict[str, Any]:
    try:
        config = read_json(folder / "adapter_config.json")
        shape = {
            "rank": config["r"],
            "alpha": config["lora_alpha"],
            "rslora": config.get("use_rslora", False),
            "target_modules": tuple(config["target_modules"]),
        }
    except (OSError, ValueError, LookupError) as error:
        raise SpecError(f"{folder} holds no adapter to go on from: {error}") from error
    default = TrainSpec()
    for name, value in shape.items():
        asked = getattr(spec, name)
        if asked not in (value, getattr(default, name)):
            raise SpecError(f"{name} is {asked!r}, but the adapter in {folder} has {value!r}: leave it out")
    return shape
