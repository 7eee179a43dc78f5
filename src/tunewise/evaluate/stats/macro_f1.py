"""Macro-F1, which is a score of all answers together: its intervals by bootstrap, its test by swapping.

It is the mean, over the labels that are expected at all, of the F1 of each, so that a rare label counts as
much as a common one. None, or an answer that is nowhere expected, is wrong: it costs the expected label its
recall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from tunewise.evaluate.stats.groups import (
    MIN_DIFFERING_GROUPS,
    Floats,
    number_groups,
    resample_groups,
    t_quantile,
)
from tunewise.evaluate.stats.permutation import ChanceOfGain, flip_test
from tunewise.records import Estimate

BOOTSTRAP_DRAWS = 5000
# The places of a label's counts: as answered, as answered rightly, as expected.
_ANSWERED, _RIGHT, _EXPECTED = range(3)


def macro_f1(predicted: Sequence[str | None], expected: Sequence[str]) -> float:
    """The score, without its interval. None is no answer."""
    counts = _count_labels(predicted, expected, groups=[""] * len(expected))
    return float(_macro_f1(counts.sum(axis=0)))


def macro_f1_interval(
    predicted: Sequence[str | None],
    expected: Sequence[str],
    groups: Sequence[str],
    rng: np.random.Generator,
    draws: int = BOOTSTRAP_DRAWS,
) -> Estimate:
    """Macro-F1 with its interval: t(G - 1) on the logit scale, with a group bootstrap's spread.

    Percentiles of the draws would be too low for few groups that are nearly all right. Where all draws score
    the same, or everything is right or wrong, nothing is known of how much new examples would vary: 0..1.
    """
    counts = _count_labels(predicted, expected, groups)
    score = float(_macro_f1(counts.sum(axis=0)))
    drawn = [_macro_f1(_weigh(weights, counts)) for weights in resample_groups(len(counts), draws, rng)]
    half = _widening(len(counts)) * float(np.std(np.concatenate(drawn)))
    if score in (0, 1) or half == 0 or math.isinf(half):
        return Estimate(score, 0.0, 1.0)
    slope = score * (1 - score)
    low, high = expit(logit(score) + np.array([-half, half]) / slope)
    return Estimate(score, float(low), float(high))


def macro_f1_gain(
    first: Sequence[str | None],
    second: Sequence[str | None],
    expected: Sequence[str],
    groups: Sequence[str],
    rng: np.random.Generator,
    draws: int = BOOTSTRAP_DRAWS,
) -> tuple[Estimate, ChanceOfGain]:
    """The gain in macro-F1 of `first` over `second`, with its interval and test.

    The interval is between percentiles of a bootstrap that draws both systems' answers to whole groups
    together, expanded for few groups; all of -1..1 ("cannot tell") where fewer than 10 groups differ. The
    test swaps the two systems' answers to whole groups and computes both scores anew.
    """
    ours, theirs = (_count_labels(side, expected, groups) for side in (first, second))
    gain = float(_macro_f1(ours.sum(axis=0)) - _macro_f1(theirs.sum(axis=0)))
    drawn = np.concatenate([
        _macro_f1(_weigh(weights, ours)) - _macro_f1(_weigh(weights, theirs))
        for weights in resample_groups(len(ours), draws, rng)
    ])  # fmt: skip
    differences = ours - theirs
    differing = differences[np.any(differences != 0, axis=(1, 2))]
    interval = Estimate(gain, -1.0, 1.0)
    if len(differing) >= MIN_DIFFERING_GROUPS:
        level = norm.cdf(-_widening(len(ours)))
        interval = Estimate(gain, *map(float, np.quantile(drawn, [level, 1 - level])))
    both = (ours + theirs).sum(axis=0)

    def gain_if_swapped(signs: Floats) -> Floats:
        change = _weigh(signs, differing)
        return _macro_f1((both + change) / 2) - _macro_f1((both - change) / 2)

    return interval, flip_test(gain_if_swapped, len(differing), rng)


def _count_labels(predicted: Sequence[str | None], expected: Sequence[str], groups: Sequence[str]) -> Floats:
    """(groups, 3, labels): how often each label was answered, answered rightly, and expected."""
    columns: dict[str | None, int] = {label: column for column, label in enumerate(dict.fromkeys(expected))}
    members = number_groups(groups)
    counts = np.zeros((int(members.max()) + 1, 3, len(columns)))
    for group, answer, label in zip(members, predicted, expected, strict=True):
        counts[group, _EXPECTED, columns[label]] += 1
        if answer in columns:
            counts[group, _ANSWERED, columns[answer]] += 1
            counts[group, _RIGHT, columns[answer]] += answer == label
    return counts


def _weigh(weights: Floats, counts: Floats) -> Floats:
    """(draws, groups) times (groups, 3, labels): (draws, 3, labels)."""
    num_groups, *table = counts.shape
    return (weights @ counts.reshape(num_groups, math.prod(table))).reshape(len(weights), *table)


def _macro_f1(counts: Floats) -> Floats:
    """(..., 3, labels) to (...): over the labels that are expected in these counts."""
    answered, right, expected = np.moveaxis(counts, -2, 0)
    is_expected = expected > 0
    f1 = 2 * right / np.maximum(1, answered + expected)
    mean: Floats = np.sum(f1 * is_expected, axis=-1) / np.sum(is_expected, axis=-1)
    return mean


def _widening(num_groups: int) -> float:
    """How many standard deviations of the draws an interval reaches; infinite for one group.

    The draws vary too little, by sqrt((G - 1) / G), and 1.96 belongs to a known deviation: both matter for
    few groups (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", on expanded percentiles).
    """
    if num_groups < 2:
        return math.inf
    return t_quantile(num_groups - 1) * math.sqrt(num_groups / (num_groups - 1))
