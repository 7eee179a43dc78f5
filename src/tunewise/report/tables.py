"""The numbers of the report that are computed from scores and rivals: the table, and what a call saves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.evaluate.metrics.label_sets import SET_METRICS, score_set
from tunewise.evaluate.metrics.scoring import FORM, KNOWING
from tunewise.evaluate.runner import group_by_approach, value_of
from tunewise.records import AnswerStatus, ApproachResult, Score, Verdict
from tunewise.report.rivals import KIND_NAMES, Contest, describe
from tunewise.report.wording import (
    NOTHING,
    count,
    interval,
    is_number,
    milliseconds,
    money,
    percent,
    shorten,
    title,
    tokens,
)

NAME_LIMIT = 60
NO_SCORE = "no score"
"""Of an approach for which the metric is defined on no example, which is not 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """One approach in the table, every number already written out."""

    name: str
    kind: str
    kind_name: str
    note: str
    is_best_untrained: bool
    score: str
    interval: str
    answered: str
    failed: str
    missing: str
    input_tokens: str
    output_tokens: str
    latency_ms: str
    cost: str
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """One secondary metric: its mean over the answers where it is defined, or what it says of all of them."""

    value: str
    undefined: int


@dataclass(frozen=True, slots=True)
class SavingLine:
    """One line on what a call to the tuned model saves: a number and what it is."""

    value: str
    what: str


def list_secondary_metrics(scores: Sequence[Score], primary: str) -> tuple[str, ...]:
    """The metrics beside the primary one, in the order in which the scores first name them.

    Without knowing and form, which have a table of their own.
    """
    apart = {primary, KNOWING, FORM}
    return tuple(dict.fromkeys(name for score in scores for name in score.metrics if name not in apart))


def has_score(scores: Sequence[Score], metric: str) -> bool:
    """Whether the metric says something of an approach's answers at all; failed ones are wrong."""
    values = [value_of(score, metric) for score in scores]
    return metric in SET_METRICS or not values or any(value is not None for value in values)


def build_rows(verdict: Verdict, scores: Sequence[Score]) -> tuple[Row, ...]:
    """The table of approaches, in the verdict's order."""
    metrics = list_secondary_metrics(scores, verdict.primary_metric)
    by_approach = group_by_approach(scores)
    return tuple(
        _row(result, verdict, by_approach.get(result.name, []), metrics) for result in verdict.approaches
    )


def _row(result: ApproachResult, verdict: Verdict, scores: Sequence[Score], metrics: Sequence[str]) -> Row:
    kind, note = describe(result.name)
    by_status: dict[AnswerStatus, list[Score]] = {"answered": [], "failed": [], "missing": []}
    for score in scores:
        by_status[score.status].append(score)
    answered = by_status["answered"]
    asks_no_model = kind == "floor"
    latency = statistics.median(score.latency_ms for score in answered) if answered else None
    is_scored = has_score(scores, verdict.primary_metric)
    return Row(
        name=shorten(result.name, NAME_LIMIT),
        kind=kind,
        kind_name=KIND_NAMES[kind],
        note=note,
        is_best_untrained=result.name == verdict.best_without_training,
        score=percent(result.score) if is_scored else NO_SCORE,
        interval=interval(result.low, result.high) if is_scored else NOTHING,
        answered=count(result.answered),
        failed=count(result.failed),
        missing=count(len(by_status["missing"])),
        input_tokens=NOTHING if asks_no_model else tokens(result.input_tokens_per_call),
        output_tokens=NOTHING if asks_no_model else tokens(result.output_tokens_per_call),
        latency_ms=NOTHING if asks_no_model else milliseconds(latency),
        cost=money(result.cost_per_1000_calls, verdict.currency),
        measures=tuple(_measure(scores, metric) for metric in metrics),
    )


def _measure(scores: Sequence[Score], metric: str) -> Measure:
    answered = [score for score in scores if score.status == "answered"]
    if metric in SET_METRICS and answered:
        return Measure(percent(score_set(answered)), undefined=0)
    values = [score.metrics.get(metric) for score in answered]
    defined = [value for value in values if value is not None and is_number(value)]
    return Measure(_mean(defined), len(values) - len(defined))


def _mean(values: Sequence[float]) -> str:
    """Shares as percentages; metrics that leave 0..1, such as a count of edits, as they are."""
    if not values:
        return NOTHING
    mean = math.fsum(values) / len(values)
    return percent(mean) if all(0 <= value <= 1 for value in values) else f"{mean:.4g}"


def list_savings(verdict: Verdict, contest: Contest) -> tuple[SavingLine, ...]:
    """Break-even, and the tokens and money that a call to the tuned model saves against the best rival."""
    if contest.tuned is None or contest.untrained is None:
        return ()
    rival = f"than with the {contest.untrained_title}"
    shorter = _tokens(contest.untrained) - _tokens(contest.tuned)
    fewer = SavingLine(tokens(abs(shorter)), f"{'fewer' if shorter >= 0 else 'more'} tokens per call {rival}")
    dearer, cheaper = contest.untrained.cost_per_1000_calls, contest.tuned.cost_per_1000_calls
    if dearer is None or cheaper is None:
        return (SavingLine("Not known", f"what a call costs, and so whether it costs less {rival}"), fewer)
    cost = dearer - cheaper
    if verdict.break_even_calls is None:
        pays_back = SavingLine(
            "Not on cost", "a call to the tuned model is not cheaper, so quality must be the reason"
        )
    else:
        pays_back = SavingLine(
            count(verdict.break_even_calls, "call"), "until the savings have paid for the training"
        )
    return (
        pays_back,
        fewer,
        SavingLine(
            money(abs(cost), verdict.currency), f"{'less' if cost >= 0 else 'more'} per 1,000 calls {rival}"
        ),
    )


def _tokens(result: ApproachResult) -> float:
    return result.input_tokens_per_call + result.output_tokens_per_call


METRIC_TITLES: Mapping[str, str] = {
    "exact_match": "Answers exactly right",
    "macro_f1": "Macro F1",
    "json_field_accuracy": "JSON fields right",
    "json_validity": "Valid JSON",
    "numeric_match": "Numbers right",
    "contains_answer": "Answer contained",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "embedding_similarity": "Similarity of meaning",
    "knowing": "Asked-for values held",
    "form": "Form kept",
}


def metric_title(name: str) -> str:
    """A metric's name in words."""
    return METRIC_TITLES.get(name, shorten(title(name), NAME_LIMIT))
