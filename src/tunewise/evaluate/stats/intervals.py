"""95% intervals: of scores, and of paired differences of right-or-wrong scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from tunewise.evaluate.stats.groups import (
    CONFIDENCE,
    Floats,
    check_values,
    design_effect,
    standard_error,
    t_quantile,
)
from tunewise.records import Estimate

Z = float(norm.ppf((1 + CONFIDENCE) / 2))


def wilson(successes: float, n: float, z: float = Z) -> Estimate:
    """Wilson's score interval for a proportion (Wilson 1927). `n` may be an effective number of examples."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes among {n} examples is no proportion")
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # Exact at the ends, where rounding would leave 1e-17.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(share, low, high)


def score_interval(values: ArrayLike, groups: Sequence[str]) -> Estimate:
    """The mean of scores in 0..1 with its interval.

    Right-or-wrong scores: Wilson on the effective number of examples, n / `design_effect`, with the t(G - 1)
    quantile where examples share groups. Others: `mean_interval`.
    """
    x = check_values(values, groups)
    if not is_binary(x):
        return mean_interval(x, groups, bounds=(0.0, 1.0))
    num_groups = len(set(groups))
    effective = len(x) / design_effect(x, groups)
    quantile = Z if num_groups == len(x) else t_quantile(num_groups - 1)
    if math.isinf(quantile):
        return Estimate(float(x.mean()), 0.0, 1.0)
    return wilson(float(x.mean()) * effective, effective, quantile)


def mean_interval(values: ArrayLike, groups: Sequence[str], bounds: tuple[float, float]) -> Estimate:
    """The mean with a t(G - 1) interval on group sums, cut off at `bounds`.

    One group, or no variation, says nothing about how much new examples would vary: the interval is then
    all of `bounds`, never a standard error of 0.
    """
    x = check_values(values, groups)
    mean = float(x.mean())
    quantile = t_quantile(len(set(groups)) - 1)
    if math.isinf(quantile) or np.all(x == x[0]):
        return Estimate(mean, *bounds)
    half = quantile * standard_error(x, groups)
    return Estimate(mean, max(bounds[0], mean - half), min(bounds[1], mean + half))


def tango(b: float, c: float, n: float, deff: float = 1.0, dof: float | None = None) -> Estimate:
    """The score interval of a paired difference of proportions, (b - c) / n (Tango 1998, Stat Med 17:891).

    `b` and `c` count the examples that only the first and only the second system got right. Counts are
    divided by the design effect `deff`; `dof` asks for the t quantile in place of the normal one.
    """
    if n <= 0 or b < 0 or c < 0 or b + c > n * (1 + 1e-9):
        raise ValueError(f"{b} and {c} discordant among {n} pairs cannot be")
    b, c, n = b / deff, c / deff, n / deff
    quantile = Z if dof is None else t_quantile(dof)
    difference = (b - c) / n
    if math.isinf(quantile):
        return Estimate(difference, -1.0, 1.0)

    def rejected(delta: float) -> bool:
        linear = (2 * n - b + c) * delta - b - c
        # The maximum-likelihood share of "only the second is right", given the difference `delta`.
        q = (math.sqrt(max(0.0, linear**2 + 8 * n * c * delta * (1 - delta))) - linear) / (4 * n)
        variance = max(0.0, n * (2 * q + delta * (1 - delta)))
        return (b - c - n * delta) ** 2 > quantile**2 * variance

    def boundary(outside: float) -> float:
        inside = difference
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
        return outside

    return Estimate(difference, boundary(-1.0), boundary(1.0))


def is_binary(values: Floats) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.all((values == 0) | (values == 1)))
