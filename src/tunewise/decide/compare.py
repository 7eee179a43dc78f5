"""From scored answers to the measurements that the verdict is made of. Pure, and free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from tunewise.decide.costs import cost, cost_per_1000_calls
from tunewise.decide.measurements import Measurements
from tunewise.evaluate.runner import ScoredRun, value_of
from tunewise.evaluate.stats import PairedGain, paired_gain, score_interval
from tunewise.records import ApproachResult, ParityCertificate, SavedPerCall
from tunewise.settings import Settings

TUNED = "fine-tuned"
FORM = "form"


def summarise(name: str, run: ScoredRun, metric: str, hourly_price: float) -> ApproachResult:
    """One row of the table of rivals. A call costs its share of the machine while all were asked together."""
    values = [value_of(score, metric) for score in run.scores]
    defined = [(v, s.group) for v, s in zip(values, run.scores, strict=True) if v is not None]
    interval = score_interval([v for v, _ in defined], [group for _, group in defined])
    calls = len(run.scores)
    return ApproachResult(
        name=name,
        score=interval.estimate,
        low=interval.low,
        high=interval.high,
        answered=sum(score.status == "answered" for score in run.scores),
        failed=sum(score.status == "failed" for score in run.scores),
        input_tokens_per_call=sum(score.input_tokens for score in run.scores) / calls,
        output_tokens_per_call=sum(score.output_tokens for score in run.scores) / calls,
        cost_per_1000_calls=cost_per_1000_calls(run.seconds / calls, hourly_price),
    )


def gains_over(
    name: str, rivals: Sequence[str], runs: Mapping[str, ScoredRun], metric: str, seed: int
) -> dict[str, PairedGain]:
    """What `name` gains over each of `rivals`, paired by example; each comparison draws from its own seed."""
    gains = {}
    for rival in rivals:
        pair = [{s.example_id: value_of(s, metric) for s in runs[n].scores} for n in (name, rival)]
        both = [i for i in pair[0] if pair[0][i] is not None and pair[1].get(i) is not None]
        first, second = ({i: side[i] or 0.0 for i in both} for side in pair)
        groups = {s.example_id: s.group for s in runs[name].scores}
        gains[rival] = paired_gain(first, second, groups, np.random.default_rng(seed))
    return gains


def saved_per_call(
    runs: Mapping[str, ScoredRun], best_untrained: str | None, hourly_price: float
) -> SavedPerCall | None:
    """What the tuned model saves over the best prompt; None where one of the two was not measured."""
    if best_untrained is None or not {best_untrained, TUNED} <= runs.keys():
        return None
    sides = runs[best_untrained], runs[TUNED]
    longer, shorter = (fmean(score.input_tokens for score in run.scores) for run in sides)
    slower, faster = (fmean(score.latency_ms for score in run.scores) for run in sides)
    dearer, cheaper = (cost(run.seconds, hourly_price) / len(run.scores) for run in sides)
    return SavedPerCall(
        rival=best_untrained,
        input_tokens=longer - shorter,
        milliseconds=slower - faster,
        money=dearer - cheaper,
    )


def compare(
    runs: Mapping[str, ScoredRun],
    floors: Sequence[str],
    best_untrained: str | None,
    unique_examples: int,
    metric: str,
    settings: Settings,
    seed: int,
    *,
    model: str | None = None,
    parity: ParityCertificate | None = None,
    training_seconds: float = 0.0,
) -> Measurements:
    """Everything the verdict looks at, from the test answers of all rivals."""
    price = settings.hourly_price
    scores = next(iter(runs.values())).scores
    others = [name for name in runs if name != TUNED]
    return Measurements(
        primary_metric=metric,
        unique_examples=unique_examples,
        test_examples=len(scores),
        test_groups=len({score.group for score in scores}),
        approaches=tuple(summarise(name, run, metric, price) for name, run in runs.items()),
        floors=frozenset(floors),
        best_untrained=best_untrained,
        gains=gains_over(TUNED, others, runs, metric, seed) if TUNED in runs else {},
        untrained_gains=gains_over(best_untrained, floors, runs, metric, seed) if best_untrained else {},
        form_scores=_form_scores(runs),
        model=model,
        parity=parity,
        currency=settings.currency,
        training_cost=cost(training_seconds, price),
        hourly_price=price,
        hourly_price_is_assumed=settings.hourly_price_is_assumed,
    )


def _form_scores(runs: Mapping[str, ScoredRun]) -> dict[str, float]:
    """Mean form adherence of each rival whose answers have a form."""
    has_form = {
        name for name, run in runs.items() if any(score.metrics.get(FORM) is not None for score in run.scores)
    }
    return {name: runs[name].mean(FORM) for name in runs if name in has_form}
