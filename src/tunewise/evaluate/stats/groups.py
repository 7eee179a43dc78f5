"""Examples that are right or wrong together, as one unit: sums over groups, and what they do to variance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2
"""Of a one-sided test that says the same as an interval: how often chance alone may pass it."""
MIN_DIFFERING_GROUPS = 10
"""A mean of fewer non-zero differences is too far from normal for t and bootstrap intervals to hold."""
_DRAWS_AT_ONCE = 1000


def check_values(values: ArrayLike, groups: Sequence[str]) -> Floats:
    """As an array; raises ValueError where there are none, not one per group name, or undefined ones."""
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or len(x) != len(groups):
        raise ValueError(
            f"{x.size} values for {len(groups)} groups: one group per value, and at least one value"
        )
    if not np.all(np.isfinite(x)):
        raise ValueError("an undefined value has no place in a mean: leave its example out")
    return x


def number_groups(groups: Sequence[str]) -> Ints:
    """The group of each example, numbered in the order of first appearance."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return np.array([numbers[group] for group in groups], dtype=np.int64)


def group_sums(values: Floats, groups: Sequence[str]) -> Floats:
    """(groups,): the sum of each group's values."""
    return np.bincount(number_groups(groups), weights=values).astype(np.float64)


def standard_error(values: Floats, groups: Sequence[str]) -> float:
    """Of the mean, from the spread of group sums around their expectation (Liang & Zeger 1986)."""
    residuals = group_sums(values - values.mean(), groups)
    correction = len(residuals) / (len(residuals) - 1)
    return math.sqrt(correction * float(np.sum(residuals**2))) / len(values)


def design_effect(values: ArrayLike, groups: Sequence[str]) -> float:
    """How many times wider the variance of the mean is than if all examples were independent; at least 1.

    The cluster-robust variance over the simple one (Kish 1965). Where it cannot be estimated (one group, or
    no variation at all), the examples of a group are taken to be copies of each other: the worst case.
    """
    x = check_values(values, groups)
    sizes = group_sums(np.ones_like(x), groups)
    spread = float(np.sum((x - x.mean()) ** 2))
    if len(sizes) < 2 or spread == 0:
        return float(np.sum(sizes**2) / len(x))
    clustered = standard_error(x, groups) ** 2
    independent = spread / (len(x) * (len(x) - 1))
    return max(1.0, clustered / independent)


def t_quantile(dof: float) -> float:
    """The quantile of a two-sided 95% interval; infinite without degrees of freedom."""
    return float(t.ppf((1 + CONFIDENCE) / 2, dof)) if dof > 0 else math.inf


def resample_groups(num_groups: int, draws: int, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each group is drawn, in pieces of (at most 1,000 draws, groups): the bootstrap's weights."""
    for start in range(0, draws, _DRAWS_AT_ONCE):
        num_draws = min(_DRAWS_AT_ONCE, draws - start)
        drawn = rng.integers(0, num_groups, size=(num_draws, num_groups))
        cells = drawn + num_groups * np.arange(num_draws)[:, None]
        counts = np.bincount(cells.ravel(), minlength=num_draws * num_groups)
        yield counts.reshape(num_draws, num_groups).astype(np.float64)
