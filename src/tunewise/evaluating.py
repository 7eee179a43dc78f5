"""The evaluation alone: any model on new examples, against its base. Nothing is trained or decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tunewise.approaches.base import Approach
from tunewise.approaches.names import FINE_TUNED, WITH_DOCUMENTS
from tunewise.approaches.prompted import Prompted, fine_tuned
from tunewise.data.dataset import Dataset, read_dataset, sha256_of_data
from tunewise.data.duplicates import key_of
from tunewise.data.instructions import common_instruction
from tunewise.data.reading import Reading
from tunewise.data.sources import read_examples
from tunewise.decide.compare import compare_pair, summarise
from tunewise.engines import EngineName, open_engine, open_tuned
from tunewise.engines.base import Engine
from tunewise.errors import DataError, SpecError, TunewiseError
from tunewise.evaluate.judge import Judgement, check_judge
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import ScoredRun, choose_decoding, run_approach
from tunewise.evaluate.stats import PairedGain
from tunewise.judging import find_judge, judge_runs, open_judge
from tunewise.models.base import find_base
from tunewise.progress import Progress, SilentProgress
from tunewise.records import ApproachResult, Example, ModelRecord
from tunewise.report.facts import look_up
from tunewise.report.rivals import name_of_model
from tunewise.settings import HOURLY_PRICE, Settings, get_settings
from tunewise.store.files import read_json
from tunewise.store.registry import model_folder


class EvaluationSpec(BaseModel):
    """Everything that decides what `tunewise evaluate` computes, beside the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    reading: Reading = Reading()
    group_key: str | None = None
    """A field of each row; rows with equal values count as one in the intervals."""
    metric: str | None = None
    """The primary metric, by its name or as `module.py:function`, in place of the one that fits the data."""
    engine: EngineName = "local"
    judge: str | None = None
    """A model that compares the answers with the base's: a tuned model's `ft:` id, or a base as `--base`."""
    seed: int = Field(0, ge=0, le=2**31 - 1)
    """Of the resampling tests."""

    @field_validator("judge")
    @classmethod
    def _judge_is_on_this_machine(cls, judge: str | None) -> str | None:
        return judge and check_judge(judge)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model answers on new examples, and its base."""

    model: str
    base: str
    metric: str
    examples: int
    known_lines: tuple[int, ...]
    """Of examples left out because their input stands in the file that the model was trained on."""
    approaches: tuple[ApproachResult, ...]
    """The base as it is, the base under the data's instruction if they have one, and the model."""
    gains: dict[str, PairedGain]
    """What the model gains over the base, by approach; empty where the model is a base."""
    runs: dict[str, ScoredRun]
    """Every answer, by approach."""
    judgement: Judgement | None = None
    """How the model's answers fare beside its base's; None where nobody was asked to judge."""

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints: all but the answers."""
        shown = asdict(replace(self, runs={}))
        del shown["runs"]
        return shown


def evaluate_model(
    model: ModelRecord | str,
    spec: EvaluationSpec,
    progress: Progress | None = None,
    settings: Settings | None = None,
) -> Evaluation:
    """Ask `model`, a tuned one or a base by its `--base` name, about the examples in `spec.data`.

    Raises a `TunewiseError` for anything that the user can mend.
    """
    progress = progress or SilentProgress()
    settings = settings or get_settings()
    settings.check(HOURLY_PRICE)
    tuned = None if isinstance(model, str) else model
    own_system = None if tuned is None else _keeps_system(tuned)
    dataset = read_dataset(spec.data, spec.group_key, reading=spec.reading, own_system=own_system)
    progress.say(dataset.describe())
    if tuned is None and spec.judge is not None:
        raise SpecError(
            f"{model} is a base: there is nothing to judge its answers against; evaluate a tuned model"
        )
    if tuned is not None:
        model_folder(tuned)  # That its files are gone is to be said before its base is asked.
    trained_on = _inputs_of_training(tuned, dataset.own_system, progress) if tuned else set()
    if tuned is not None and _approach_of(tuned) in WITH_DOCUMENTS:
        progress.say(
            f"{tuned.id} was trained with passages of documents in its prompts, and is asked here without: "
            "put them into the examples as its README.md lays them out"
        )
    known, examples = _part_known(dataset, trained_on, spec.data, progress)
    scoring = choose_scoring(examples, spec.metric)
    progress.say(scoring.describe())
    base = find_base(tuned.base if tuned else str(model), settings)
    judge = find_judge(spec.judge, settings)
    with ExitStack() as opened:
        engine = opened.enter_context(closing(open_engine(base, name=spec.engine, settings=settings)))
        decoding = choose_decoding(engine, scoring, examples)

        def ask(approach: Approach, asked: Engine) -> ScoredRun:
            run = run_approach(approach, examples, asked, decoding, progress)
            progress.say(f"  {approach.name}: {scoring.primary} {run.score(scoring.primary):.1%}")
            return run

        rivals = _base_alone(engine.base_id, examples)
        runs = {rival.name: ask(rival, engine) for rival in rivals}
        if tuned is not None:
            tuned_engine = opened.enter_context(open_tuned(engine, tuned, spec.engine, settings))
            runs[FINE_TUNED] = ask(fine_tuned(tuned.id), tuned_engine)
        judgement = None
        if judge is not None:
            rival = rivals[-1].name  # The base under the data's own instruction, if they have one.
            asked = opened.enter_context(open_judge(judge, engine, base, spec.engine, settings))
            judgement = judge_runs(asked, runs, FINE_TUNED, rival, examples, spec.seed, progress)
        base_id = engine.base_id
    return Evaluation(
        model=tuned.id if tuned else base_id,
        base=base_id,
        metric=scoring.primary,
        examples=len(examples),
        known_lines=tuple(example.line for example in known),
        approaches=tuple(
            summarise(name, run, scoring.primary, settings.hourly_price, spec.seed)
            for name, run in runs.items()
        ),
        gains=_gains_over_base(runs, scoring.primary, spec.seed),
        runs=runs,
        judgement=judgement,
    )


def _part_known(
    dataset: Dataset, trained_on: set[str], path: Path, progress: Progress
) -> tuple[list[Example], list[Example]]:
    """Examples whose inputs the model was trained on, and the others. Raises `DataError` without others."""
    known: list[Example] = []
    new: list[Example] = []
    for example in dataset.examples:
        (known if key_of(example) in trained_on else new).append(example)
    if not new:
        raise DataError(path, "every input of it stands in the file that the model was trained on")
    if known:
        progress.say(f"left out: {len(known)} examples whose inputs stand in the file it was trained on")
    return known, new


def _base_alone(base: str, examples: Sequence[Example]) -> list[Prompted]:
    instruction = common_instruction(examples)
    told = [] if instruction is None else [Prompted("instructed", base, instruction)]
    return [Prompted("zero-shot", base), *told]


def _gains_over_base(runs: Mapping[str, ScoredRun], metric: str, seed: int) -> dict[str, PairedGain]:
    rivals = [name for name in runs if name != FINE_TUNED] if FINE_TUNED in runs else []
    compared = {rival: compare_pair(FINE_TUNED, rival, runs, metric, seed) for rival in rivals}
    return {rival: found[0] for rival, found in compared.items() if found is not None}


def _approach_of(model: ModelRecord) -> str | None:
    """The approach that its run asked it by, if its files say."""
    with suppress(OSError, ValueError):
        return name_of_model(read_json(Path(model.path) / "tunewise.json"), model.id)
    return None


def _keeps_system(model: ModelRecord) -> bool | None:
    """Whether it was trained with each row's own system message, if its files say."""
    with suppress(OSError, ValueError):
        kept = look_up(read_json(Path(model.path) / "tunewise.json"), "data", "own_system")
        return kept if isinstance(kept, bool) else None
    return None


def _inputs_of_training(model: ModelRecord, own_system: bool, progress: Progress) -> set[str]:
    """By `key_of`; none, which is said, where the file is gone or was changed."""
    try:
        manifest = read_json(Path(model.path) / "tunewise.json")
        path, reading = Path(manifest["data"]["path"]), Reading(**manifest["spec"]["reading"])
        if sha256_of_data(path) == manifest["data"]["sha256"]:
            return {key_of(row) for row in read_examples(path, None, reading, own_system)}
    except (OSError, ValueError, KeyError, TypeError, TunewiseError):
        pass
    progress.say(
        "whether it was trained on some of these examples cannot be told: its training data are gone"
    )
    return set()
