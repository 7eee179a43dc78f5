"""What a run knows beside its test answers, gathered for the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunewise.approaches.floors import all_floors
from tunewise.approaches.names import FINE_TUNED, TRAINED, WITH_DOCUMENTS
from tunewise.approaches.pattern_majority import PatternMajority
from tunewise.approaches.shown import Shown
from tunewise.arms import num_passages
from tunewise.data.dataset import Dataset
from tunewise.data.split import Split
from tunewise.decide.measurements import Disagreement, FactOrSkill, Findings, Retrieval
from tunewise.evaluate.fact_or_skill import gap_closed, measure_prompt_coverage, near_miss
from tunewise.evaluate.metrics.scoring import KNOWING
from tunewise.evaluate.runner import ScoredRun, value_of
from tunewise.evaluate.selection import PromptChoice
from tunewise.publish import TrainedModel
from tunewise.records import Estimate
from tunewise.retrieval.hits import held_shares, measure_hits
from tunewise.run_spec import RunSpec
from tunewise.settings import Settings
from tunewise.time_plan import TimePlan


def gather_findings(
    spec: RunSpec,
    dataset: Dataset,
    split: Split,
    shown: Shown,
    choice: PromptChoice,
    plan: TimePlan,
    trained: Sequence[TrainedModel],
    runs: Mapping[str, ScoredRun],
    metric: str,
    settings: Settings,
) -> Findings:
    """All that can be told without asking a model anything more."""
    floors = tuple(floor.name for floor in all_floors() if floor.name in runs)
    return Findings(
        primary_metric=metric,
        unique_examples=len(dataset.examples),
        floors=floors,
        best_untrained=choice.best,
        best_closed_book=choice.best_without(WITH_DOCUMENTS),
        seed=spec.seed,
        currency=settings.currency,
        hourly_price=settings.hourly_price,
        hourly_price_is_assumed=settings.hourly_price_is_assumed,
        arms=tuple(model.as_arm() for model in trained if model.name in TRAINED),
        fact_or_skill=tell_facts(split, runs, floors, metric, spec.seed),
        retrieval=measure_retrieval(split, shown, choice),
        disagreement=Disagreement(dataset.repeated.disagreement, dataset.repeated.inputs),
        calls_per_month=spec.calls_per_month,
        left_out=tuple(plan.say_what_is_left_out()),
    )


def measure_retrieval(split: Split, shown: Shown, choice: PromptChoice) -> Retrieval | None:
    """How often validation answers stand in the passages found for them; None where nothing can be told."""
    if shown.passages is None:
        return None
    hits = measure_hits(shown.passages, split.validation, num_passages(choice), shown.seed)
    return Retrieval(hits.hit, hits.random_hit) if hits is not None and hits.is_telling else None


def look_into_passages(split: Split, shown: Shown, choice: PromptChoice) -> dict[str, float]:
    """By test example, how much of its answer stands in the passages found for it: for the report alone.

    Empty where no documents were given.
    """
    if shown.passages is None:
        return {}
    return held_shares(shown.passages, split.test.read("passages found"), num_passages(choice))


def tell_facts(
    split: Split, runs: Mapping[str, ScoredRun], floors: Sequence[str], metric: str, seed: int
) -> FactOrSkill | None:
    """Whether answers can be worked out from their prompts, by what those hold and by what training learned.

    None where the answers are too few, or too alike, to tell whose prompt is whose.
    """
    coverage = measure_prompt_coverage(split.train, seed)
    if coverage is None:
        return None
    return FactOrSkill(
        own_auc=coverage.own_auc,
        mismatch=coverage.mismatch,
        own_coverage=coverage.own_coverage,
        distinct_answers=len({example.answer for example in split.train}),
        gap_closed=_gap_closed(runs, floors, seed),
        near_miss=_near_miss(split, runs, metric),
    )


def _gap_closed(runs: Mapping[str, ScoredRun], floors: Sequence[str], seed: int) -> Estimate | None:
    """By the tuned model, of what the best floor leaves to be known."""
    if FINE_TUNED not in runs:
        return None
    known = {name: _known(runs[name]) for name in (FINE_TUNED, *floors)}
    tuned = known.pop(FINE_TUNED)
    # What is undefined for one is undefined for all, as it depends on the example alone.
    floor = max(known.values(), key=lambda values: sum(values.values()), default={})
    shared = tuned.keys() & floor.keys()
    if not shared:
        return None
    groups = {score.example_id: score.group for score in runs[FINE_TUNED].scores}
    ours, theirs = ({name: side[name] for name in sorted(shared)} for side in (tuned, floor))
    return gap_closed(ours, theirs, groups, np.random.default_rng(seed))


def _known(run: ScoredRun) -> dict[str, float]:
    values = {score.example_id: value_of(score, KNOWING) for score in run.scores}
    return {name: value for name, value in values.items() if value is not None}


def _near_miss(split: Split, runs: Mapping[str, ScoredRun], metric: str) -> float | None:
    """Of the tuned model's wrong answers, among questions that are worded alike."""
    if FINE_TUNED not in runs:
        return None
    patterns = PatternMajority()
    patterns.prepare(split.train)
    scores = runs[FINE_TUNED].scores
    wrong = {s.example_id: s.answer for s in scores if s.status == "answered" and value_of(s, metric) != 1}
    expected = {score.example_id: score.expected for score in scores}
    kinds = {example.id: patterns.pattern(example) for example in split.test.read("patterns of questions")}
    return near_miss(wrong, expected, kinds)
