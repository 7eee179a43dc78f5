"""From scored answers to the measurements that the verdict is made of. Pure, and free of torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from statistics import fmean

import numpy as np

from tunewise.approaches.names import CONTROLS, FINE_TUNED, RAG, TRAINED, is_remote
from tunewise.decide.costs import cost_of_tokens, cost_per_1000_calls
from tunewise.decide.measurements import Findings, KnowingGain, Measurements
from tunewise.evaluate.metrics.label_sets import SET_METRICS, list_labels
from tunewise.evaluate.metrics.lenient import forgive_form
from tunewise.evaluate.metrics.scoring import FORM, KNOWING
from tunewise.evaluate.runner import ScoredRun, value_of
from tunewise.evaluate.stats import PairedGain, macro_f1_interval, paired_gain, score_interval
from tunewise.records import ApproachResult, Estimate, SavedPerCall, Score, TokenPrice


def compare(runs: Mapping[str, ScoredRun], findings: Findings) -> Measurements:
    """Everything the verdict looks at: what was found before, and the test answers of all approaches."""
    scores = next(iter(runs.values())).scores
    knowing = _means(runs, KNOWING)
    gains: dict[str, dict[str, PairedGain]] = {}
    knowing_gains: dict[str, dict[str, KnowingGain]] = {}
    for name, rival in _pairs(runs, findings):
        if compared := compare_pair(name, rival, runs, findings.primary_metric, findings.seed):
            gains.setdefault(name, {})[rival] = compared[0]
        if not {name, rival} <= knowing.keys():
            continue
        if compared := compare_pair(name, rival, runs, KNOWING, findings.seed):
            knowing_gains.setdefault(name, {})[rival] = KnowingGain(*compared)
    lenient_gains = {
        arm.name: _lenient_gains(arm.name, runs, findings) for arm in findings.arms if arm.name in runs
    }
    return Measurements(
        **{field.name: getattr(findings, field.name) for field in fields(findings)},
        test_examples=len(scores),
        test_groups=len({score.group for score in scores}),
        compared_examples=_count_compared(runs, findings),
        commonest_answer=max(Counter(score.expected.strip() for score in scores).values()) / len(scores),
        approaches=tuple(
            summarise(
                name,
                run,
                findings.primary_metric,
                findings.hourly_price,
                findings.seed,
                findings.token_prices.get(name),
            )
            for name, run in runs.items()
        ),
        gains=gains,
        knowing=knowing,
        knowing_gains=knowing_gains,
        form_scores=_means(runs, FORM),
        lenient_gains=lenient_gains,
        without_score=frozenset(
            name for name, run in runs.items() if not _defined(run.scores, findings.primary_metric)
        ),
    )


def _count_compared(runs: Mapping[str, ScoredRun], findings: Findings) -> int:
    """On how many examples the main trained model and the best untrained rival both have a score."""
    tested = (name for name in TRAINED if name in runs and any(arm.name == name for arm in findings.arms))
    names = [name for name in (next(tested, None), findings.best_untrained) if name in runs]
    sides = [_defined(runs[name].scores, findings.primary_metric) for name in names if name is not None]
    return len(set.intersection(*sides)) if sides else len(next(iter(runs.values())).scores)


def _defined(scores: Sequence[Score], metric: str) -> set[str]:
    """The ids of the examples on which the metric says something of the answer."""
    return {s.example_id for s in scores if metric in SET_METRICS or value_of(s, metric) is not None}


def summarise(
    name: str,
    run: ScoredRun,
    metric: str,
    hourly_price: float,
    seed: int,
    token_price: TokenPrice | None = None,
) -> ApproachResult:
    """One row of the table of rivals. Tokens and their price are those of a call that is answered."""
    interval = _interval(run.scores, metric, seed)
    answered = _answered(run)
    return ApproachResult(
        name=name,
        score=interval.estimate,
        low=interval.low,
        high=interval.high,
        answered=sum(score.status == "answered" for score in run.scores),
        failed=sum(score.status == "failed" for score in run.scores),
        input_tokens_per_call=fmean(score.input_tokens for score in answered),
        output_tokens_per_call=fmean(score.output_tokens for score in answered),
        cost_per_1000_calls=price_calls(name, run, hourly_price, token_price),
    )


def price_calls(
    name: str, run: ScoredRun, hourly_price: float, token_price: TokenPrice | None
) -> float | None:
    """What 1,000 calls cost: each its share of this machine while all were asked together, or its tokens.

    None where another machine was asked whose prices are not known, or which counts no tokens.
    """
    if not is_remote(name):
        return cost_per_1000_calls(run.seconds / len(run.scores), hourly_price)
    read = fmean(score.input_tokens for score in _answered(run))
    written = fmean(score.output_tokens for score in _answered(run))
    if token_price is None or not read:
        return None
    return 1000 * cost_of_tokens(read, written, token_price)


def _answered(run: ScoredRun) -> Sequence[Score]:
    """The calls that tell what one takes, as failed ones count no tokens; all where none was answered."""
    return [score for score in run.scores if score.status == "answered"] or run.scores


def _interval(scores: Sequence[Score], metric: str, seed: int) -> Estimate:
    if metric in SET_METRICS:
        groups = [score.group for score in scores]
        return macro_f1_interval(*list_labels(scores), groups, np.random.default_rng(seed))
    values = [value_of(score, metric) for score in scores]
    defined = [(v, s.group) for v, s in zip(values, scores, strict=True) if v is not None]
    if not defined:
        return Estimate(0.0, 0.0, 1.0)  # Nothing is known.
    return score_interval([v for v, _ in defined], [group for _, group in defined])


def compare_pair(
    name: str, rival: str, runs: Mapping[str, ScoredRun], metric: str, seed: int
) -> tuple[PairedGain, int] | None:
    """What `name` gains over `rival`, paired by example, and on how many examples both are defined.

    None where that is on none. Each comparison draws from the seed anew, so that it is the same whatever else
    is compared.
    """
    rng = np.random.default_rng(seed)
    groups = {score.example_id: score.group for score in runs[name].scores}
    if metric in SET_METRICS:
        (labels, expected), (others, _) = (_labels(runs[n].scores) for n in (name, rival))
        gain = paired_gain(labels, others, groups, rng, "labels", expected)
        return gain, len(expected)
    first, second = ({s.example_id: value_of(s, metric) for s in runs[n].scores} for n in (name, rival))
    both = {i: (a, b) for i, a in first.items() if a is not None and (b := second.get(i)) is not None}
    if not both:
        return None
    ours, theirs = ({i: pair[side] for i, pair in both.items()} for side in (0, 1))
    return paired_gain(ours, theirs, groups, rng), len(both)


def _lenient_gains(name: str, runs: Mapping[str, ScoredRun], findings: Findings) -> dict[str, PairedGain]:
    """What this trained model gains over each untrained rival where both are forgiven their form."""
    metric, others = findings.primary_metric, {*findings.floors, *TRAINED, *CONTROLS}
    rivals = [rival for rival in runs if rival not in others]
    forgiven = {n: replace(runs[n], scores=forgive_form(runs[n].scores, metric)) for n in (name, *rivals)}
    compared = {rival: compare_pair(name, rival, forgiven, metric, findings.seed) for rival in rivals}
    return {rival: found[0] for rival, found in compared.items() if found is not None}


def _labels(scores: Sequence[Score]) -> tuple[dict[str, str | None], dict[str, str]]:
    """The labels that were answered and those that were expected, by example."""
    ids = [score.example_id for score in scores]
    predicted, expected = list_labels(scores)
    return dict(zip(ids, predicted, strict=True)), dict(zip(ids, expected, strict=True))


def _pairs(runs: Mapping[str, ScoredRun], findings: Findings) -> Iterator[tuple[str, str]]:
    """Who is compared with whom: what may be recommended with all but controls, the others with floors."""
    may_be_recommended = {
        RAG,
        findings.best_untrained,
        findings.best_closed_book,
        *(arm.name for arm in findings.arms),
    }
    for name in runs:
        if name in findings.floors or name in CONTROLS:
            continue
        rivals = runs if name in may_be_recommended else findings.floors
        others = (rival for rival in rivals if rival in runs and rival != name and rival not in CONTROLS)
        yield from ((name, rival) for rival in others)


def _means(runs: Mapping[str, ScoredRun], metric: str) -> dict[str, float]:
    """The mean of a metric for each approach that has answers in which it is defined."""
    defined = (
        name for name, run in runs.items() if any(s.metrics.get(metric) is not None for s in run.scores)
    )
    return {name: runs[name].mean(metric) for name in defined}


def saved_per_call(
    runs: Mapping[str, ScoredRun],
    best_untrained: str | None,
    hourly_price: float,
    token_prices: Mapping[str, TokenPrice],
) -> SavedPerCall | None:
    """What the tuned model saves over the best prompt; None where one of the two was not measured."""
    if best_untrained is None or not {best_untrained, FINE_TUNED} <= runs.keys():
        return None
    sides = runs[best_untrained], runs[FINE_TUNED]
    longer, shorter = (fmean(score.input_tokens for score in _answered(run)) for run in sides)
    slower, faster = (fmean(score.latency_ms for score in _answered(run)) for run in sides)
    dearer, cheaper = (
        price_calls(name, runs[name], hourly_price, token_prices.get(name))
        for name in (best_untrained, FINE_TUNED)
    )
    return SavedPerCall(
        rival=best_untrained,
        input_tokens=longer - shorter,
        milliseconds=slower - faster,
        money=None if dearer is None or cheaper is None else (dearer - cheaper) / 1000,
    )
