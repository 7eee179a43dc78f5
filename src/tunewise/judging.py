"""A judge among the models of this machine: found by its name, opened, and asked about a run's answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

from tunewise.data.split import SealedTest
from tunewise.decide.criteria import fail_too_often
from tunewise.engines import EngineName, open_engine, open_model_engine
from tunewise.engines.base import Engine
from tunewise.evaluate.judge import Judgement, judge_answers
from tunewise.evaluate.runner import ScoredRun
from tunewise.models.base import BaseModel, find_base
from tunewise.progress import Progress
from tunewise.records import Example, ModelRecord
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.store.registry import Registry, model_folder
from tunewise.store.run_folder import RunFolder

Judge = BaseModel | ModelRecord


def find_judge(name: str | None, settings: Settings) -> Judge | None:
    """The tuned model of this `ft:` id, or else the base that `name` names as `--base` does.

    Raises `ModelNotFoundError` or `ModelUnavailableError`, before anything was asked or trained.
    """
    if name is None:
        return None
    if not name.startswith("ft:"):
        return find_base(name, settings)
    tuned = Registry(settings.registry).model(name)
    model_folder(tuned)
    return tuned


@contextmanager
def open_judge(
    judge: Judge, engine: Engine, base: BaseModel, engine_name: EngineName, settings: Settings
) -> Iterator[tuple[Engine, str]]:
    """What asks the judge, and the judge's id there: `engine` itself where the judge is its base."""
    if isinstance(judge, BaseModel) and judge.source == base.source:
        yield engine, engine.base_id
        return
    engine.rest()
    if isinstance(judge, BaseModel):
        opened = open_engine(judge, name=engine_name, settings=settings)
    else:
        opened = open_model_engine(judge, name=engine_name, settings=settings)
    with closing(opened):
        yield opened, opened.base_id if isinstance(judge, BaseModel) else judge.id


def judge_runs(
    opened: tuple[Engine, str],
    runs: Mapping[str, ScoredRun],
    name: str,
    rival: str,
    examples: Sequence[Example],
    seed: int,
    progress: Progress,
) -> Judgement:
    """How the answers of the approach `name` fare beside those of `rival`, by what `open_judge` opened."""
    engine, model = opened
    return judge_answers(engine, model, examples, runs[name].scores, runs[rival].scores, seed, progress)


def judge_trained(
    judge: Judge | None,
    trained: Sequence[str],
    rival: str | None,
    runs: Mapping[str, ScoredRun],
    test: SealedTest,
    spec: RunSpec,
    base: BaseModel,
    engine: Engine,
    folder: RunFolder,
    settings: Settings,
    progress: Progress,
) -> tuple[Judgement, ...]:
    """How the test answers of each trained approach fare beside those of the best prompt, `rival`.

    Nothing without a judge. Kept in the run folder.
    """
    if judge is None:
        return ()
    if rival is None or not trained:
        progress.say("nothing to judge: a judge compares trained models with a prompt, and one was left out")
        return ()

    def ask() -> list[dict[str, Any]]:
        with open_judge(judge, engine, base, spec.engine, settings) as opened:
            examples = test.read("judge")
            return [
                asdict(judge_runs(opened, runs, name, rival, examples, spec.seed, progress))
                for name in trained
            ]

    # A test whose calls failed is asked anew, and then its answers are others.
    compared = [runs[name] for name in (rival, *trained)]
    is_final = not any(fail_too_often(len(run.failed), len(run.scores)) for run in compared)
    kept = folder.stage("judge", ask, keeps=lambda _: is_final).value
    judgements = tuple(map(Judgement.from_json, kept))
    for judgement in judgements:
        progress.say(judgement.describe())
    return judgements
