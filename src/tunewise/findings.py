"""What a run knows beside its test answers, gathered for the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunewise.approaches.floors import all_floors
from tunewise.approaches.majority import Majority
from tunewise.approaches.names import FINE_TUNED, RAG, TRAINED, WITH_DOCUMENTS, remote_model
from tunewise.approaches.nearest_vote import NearestVote
from tunewise.approaches.pattern_majority import PatternMajority
from tunewise.approaches.rag import Rag
from tunewise.approaches.rivals import build
from tunewise.approaches.shown import Shown
from tunewise.arms import num_passages
from tunewise.data.split import Split
from tunewise.decide.measurements import Disagreement, FactOrSkill, Findings, Retrieval
from tunewise.evaluate.fact_or_skill import MIN_EXAMPLES, gap_closed, measure_prompt_coverage, near_miss
from tunewise.evaluate.metrics.scoring import KNOWING, Scoring
from tunewise.evaluate.runner import ScoredRun, run_floor, value_of
from tunewise.evaluate.selection import PromptChoice
from tunewise.evidence import Evidence
from tunewise.progress import Progress
from tunewise.records import Estimate, Example
from tunewise.retrieval.hits import held_shares, measure_hits
from tunewise.retrieval.retriever import retrieve_examples
from tunewise.settings import Settings


def gather_findings(found: Evidence, settings: Settings, progress: Progress) -> Findings:
    """All that can be told without asking a model anything more."""
    spec, dataset, split, shown = found.spec, found.dataset, found.split, found.shown
    choice, runs, scoring = found.choice, found.runs, found.decoding.scoring
    metric = scoring.primary
    floors = tuple(floor.name for floor in all_floors() if floor.name in runs)
    _say_shots_without_room(split.validation, shown, choice, progress)
    return Findings(
        primary_metric=metric,
        unique_examples=len(split.train) + len(split.validation) + len(split.test),
        test_is_given="test" in spec.given_sides,
        floors=floors,
        best_untrained=choice.best,
        best_closed_book=choice.best_without(WITH_DOCUMENTS),
        seed=spec.seed,
        currency=settings.currency,
        hourly_price=settings.hourly_price,
        hourly_price_is_assumed=settings.hourly_price_is_assumed,
        token_prices={
            name: price
            for name in spec.remotes
            if (price := settings.token_price(remote_model(name))) is not None
        },
        arms=tuple(model.as_arm() for model in found.trained if model.name in TRAINED),
        fact_or_skill=tell_facts(split, runs, floors, metric, spec.seed),
        retrieval=measure_retrieval(split, shown, choice, progress),
        disagreement=Disagreement(dataset.repeated.disagreement, dataset.repeated.inputs),
        neighbours_gain=measure_neighbours(split, shown, scoring, settings.cache / "vectors"),
        consistency=dict(found.consistency),
        calls_per_month=spec.calls_per_month,
        left_out=tuple(found.plan.say_what_is_left_out()),
        judgements=found.judgements,
    )


def measure_retrieval(
    split: Split, shown: Shown, choice: PromptChoice, progress: Progress
) -> Retrieval | None:
    """How often validation answers stand in the passages found for them; None without documents."""
    if shown.passages is None:
        return None
    hits = measure_hits(shown.passages, split.validation, num_passages(choice), shown.seed)
    shortened = _share_shortened(split.validation, shown, choice)
    if shortened:
        progress.say(f"passages: fewer or shorter ones had to do for {shortened:.0%} of validation inputs")
    if hits is None or not hits.is_telling:
        return Retrieval(None, None, shortened)
    return Retrieval(hits.hit, hits.random_hit, shortened)


def _share_shortened(inputs: Sequence[Example], shown: Shown, choice: PromptChoice) -> float | None:
    setup = choice.setups.get(RAG)
    if setup is None:
        return None
    rag = build(setup, shown)
    assert isinstance(rag, Rag)
    rag.prepare(inputs)
    for example in inputs:
        rag.messages(example)
    return len(rag.shortened_ids) / len(inputs)


def _say_shots_without_room(
    inputs: Sequence[Example], shown: Shown, choice: PromptChoice, progress: Progress
) -> None:
    roomy = replace(shown, fits=lambda *_: True)
    for setup in choice.setups.values():
        if setup.num_shots:
            sent, wanted = build(setup, shown), build(setup, roomy)
            sent.prepare(inputs)
            fewer = sum(len(sent.messages(one)) < len(wanted.messages(one)) for one in inputs)
            if fewer:
                share = f"{fewer / len(inputs):.0%} of validation inputs"
                progress.say(f"{setup.label}: fewer shots had to do for {share}")


def measure_neighbours(split: Split, shown: Shown, scoring: Scoring, vectors: Path) -> float | None:
    """What a vote of the nearest training examples scores on validation, less what the commonest label does.

    By the index of the run's nearest shots, or else by words. None where answers are no labels, or there are
    fewer than `MIN_EXAMPLES` to tell by.
    """
    if scoring.answers != "labels" or len(split.validation) < MIN_EXAMPLES:
        return None
    near = shown.near or retrieve_examples(split.train, shown.seed, None, vectors)
    near.prepare(split.validation)
    majority = Majority()
    majority.prepare(split.train)
    vote, most = (
        run_floor(floor, split.validation, scoring).score(scoring.primary)
        for floor in (NearestVote(near), majority)
    )
    return vote - most


def look_into_passages(found: Evidence) -> dict[str, float]:
    """By test example, how much of its answer stands in the passages found for it: for the report alone.

    Empty where no documents were given.
    """
    if found.shown.passages is None:
        return {}
    test = found.split.test.read("passages found")
    return held_shares(found.shown.passages, test, num_passages(found.choice))


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
