"""What a run trains: which models, on which rows, and how each is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.approaches.base import Approach, Fits, Messages
from tunewise.approaches.names import FINE_TUNED, FINE_TUNED_RAG, FROM_SCRATCH, RAG
from tunewise.approaches.prompted import Prompted, fine_tuned
from tunewise.approaches.rag import fine_tuned_rag
from tunewise.approaches.rag_training import give_passages
from tunewise.approaches.rivals import PASSAGES_OF_VARIANTS
from tunewise.approaches.shown import Shown
from tunewise.data.split import Split
from tunewise.engines.base import Engine
from tunewise.evaluate.parity import certify_served
from tunewise.evaluate.selection import PromptChoice
from tunewise.models.base import BaseModel
from tunewise.progress import Progress
from tunewise.records import Example, ParityCertificate
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.train.estimate import TrainingPace, measure_trainings
from tunewise.train.fine_tune import TrainingSummary, fine_tune, read_trained_tokens
from tunewise.train.spec import TrainSpec


@dataclass(frozen=True, slots=True)
class Arm:
    """One model that a run trains."""

    name: str
    """Of the approach."""
    spec: TrainSpec
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    """Where its files go."""
    ask: Callable[[str], Approach]
    """The approach that asks the model of this id about rows as they are in the data."""
    note: str = ""
    """What is to be known of its rows, for people."""


def list_arms(
    spec: RunSpec,
    split: Split,
    shown: Shown,
    choice: PromptChoice,
    engine: Engine,
    out: Path,
) -> list[Arm]:
    """Those that `spec` asks for; the first has its files in the run's own folder, the others below."""
    arms: list[Arm] = []
    if FINE_TUNED in spec.approaches:
        arms.append(Arm(FINE_TUNED, spec.train_spec, split.train, split.validation, out, fine_tuned))
    if FINE_TUNED_RAG in spec.approaches:
        arms.append(_arm_with_passages(spec, split, shown, choice, engine, out))
    if FROM_SCRATCH in spec.approaches:
        scratch = spec.train_spec.model_copy(update={"tuning": "scratch", "start": None})
        folder = out / FROM_SCRATCH
        arms.append(
            Arm(
                FROM_SCRATCH,
                scratch,
                split.train,
                split.validation,
                folder,
                lambda m: Prompted(FROM_SCRATCH, m),
            )
        )
    return arms


def _arm_with_passages(
    spec: RunSpec,
    split: Split,
    shown: Shown,
    choice: PromptChoice,
    engine: Engine,
    out: Path,
) -> Arm:
    passages = shown.passages
    assert passages is not None
    number = num_passages(choice)
    fits = _fits_training(engine, spec.train_spec.max_tokens)
    train = give_passages(split.train, passages, number, fits, spec.seed)
    validation = give_passages(split.validation, passages, number, fits, None)
    return Arm(
        FINE_TUNED_RAG,
        spec.train_spec,
        train.examples,
        validation.examples,
        out / FINE_TUNED_RAG,
        lambda model: fine_tuned_rag(model, passages, number, shown.fits),
        train.describe(),
    )


def num_passages(choice: PromptChoice) -> int:
    """For each input: as many as were best for the base."""
    chosen = choice.setups.get(RAG)
    return chosen.num_passages if chosen else PASSAGES_OF_VARIANTS


def _fits_training(engine: Engine, max_tokens: int) -> Fits:
    def fits(messages: Messages, example: Example) -> bool:
        answer = engine.count_answer_tokens(engine.base_id, example.answer)
        return engine.count_tokens(engine.base_id, messages) + answer <= max_tokens

    return fits


def train_arm(
    arm: Arm, base: BaseModel, data: Path, instruction: str | None, settings: Settings, progress: Progress
) -> TrainingSummary:
    """Train it into its folder, whatever is there already; see `fine_tune`."""
    return fine_tune(
        base, arm.train, arm.validation, arm.spec, arm.folder, data, progress, instruction, settings=settings
    )


def measure_arms(
    arms: Sequence[Arm], num_tokens: int, base: BaseModel, instruction: str | None, settings: Settings
) -> dict[str, TrainingPace]:
    """How fast each would be trained here, by its name, tried on so many tokens of its rows.

    For those that are trained alike the base is loaded once.
    """
    paces: dict[str, TrainingPace] = {}
    for spec in dict.fromkeys(arm.spec for arm in arms):
        alike = [arm for arm in arms if arm.spec == spec]
        examples = [(arm.train, arm.validation) for arm in alike]
        measured = measure_trainings(base, examples, num_tokens, spec, instruction, settings)
        paces |= zip((arm.name for arm in alike), measured, strict=True)
    return paces


def certify_arm(arm: Arm, model: str, engine: Engine) -> ParityCertificate:
    """Whether `engine` answers under the id `model` as the arm was trained."""
    # Its validation rows hold their passages already, where it has any.
    return certify_served(engine, fine_tuned(model), arm.validation, read_trained_tokens(arm.folder))
