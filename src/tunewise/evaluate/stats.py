"""How sure a measurement is: intervals and tests for scores, and for paired differences between two rivals.

Pure functions; the random generator is passed in. The unit is the *group* of examples (near-duplicates, one
customer, one document), because examples of a group are right or wrong together and counting them
as independent claims more than was measured. All intervals are 95%.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from tunewise.records import Estimate

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
# Up to here all 2^G sign patterns are tried, which is quicker than drawing 10,000 of them.
MAX_EXACT_GROUPS = 14
# A mean of fewer non-zero differences is too far from normal for a t interval to hold its promise.
MIN_NONZERO_GROUPS = 10


@dataclass(frozen=True, slots=True)
class SignFlip:
    """How often chance alone gives a difference at least this large."""

    one_sided: float
    """In favour of the first system."""
    two_sided: float


@dataclass(frozen=True, slots=True)
class PairedGain:
    """What the first system gains over the second on the same examples."""

    estimate: float
    low: float
    high: float
    p_one_sided: float
    p_two_sided: float
    discordance: float
    """The share of examples on which the two differ."""
    design_effect: float


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


def design_effect(values: ArrayLike, groups: Sequence[str]) -> float:
    """How many times wider the variance of the mean is than if all examples were independent; at least 1.

    The cluster-robust variance over the simple one (Kish 1965). Where it cannot be estimated (one group, or
    no variation at all), the examples of a group are taken to be copies of each other: the worst case.
    """
    x = _finite(values, groups)
    sizes = _group_sums(np.ones_like(x), groups)
    spread = float(np.sum((x - x.mean()) ** 2))
    if len(sizes) < 2 or spread == 0:
        return float(np.sum(sizes**2) / len(x))
    clustered = _standard_error(x, groups) ** 2
    independent = spread / (len(x) * (len(x) - 1))
    return max(1.0, clustered / independent)


def score_interval(values: ArrayLike, groups: Sequence[str]) -> Estimate:
    """The mean of scores in 0..1 with its interval.

    Right-or-wrong scores: Wilson on the effective number of examples, n / `design_effect`, with the t(G - 1)
    quantile where examples share groups. Others: `mean_interval`.
    """
    x = _finite(values, groups)
    if not _is_binary(x):
        return mean_interval(x, groups, bounds=(0.0, 1.0))
    num_groups = len(set(groups))
    effective = len(x) / design_effect(x, groups)
    quantile = Z if num_groups == len(x) else _t_quantile(num_groups - 1)
    if math.isinf(quantile):
        return Estimate(float(x.mean()), 0.0, 1.0)
    return wilson(float(x.mean()) * effective, effective, quantile)


def mean_interval(values: ArrayLike, groups: Sequence[str], bounds: tuple[float, float]) -> Estimate:
    """The mean with a t(G - 1) interval on group sums, cut off at `bounds`.

    One group, or no variation, says nothing about how much new examples would vary: the interval is then
    all of `bounds`, never a standard error of 0.
    """
    x = _finite(values, groups)
    mean = float(x.mean())
    quantile = _t_quantile(len(set(groups)) - 1)
    if math.isinf(quantile) or np.all(x == x[0]):
        return Estimate(mean, *bounds)
    half = quantile * _standard_error(x, groups)
    return Estimate(mean, max(bounds[0], mean - half), min(bounds[1], mean + half))


def tango(b: float, c: float, n: float, deff: float = 1.0, dof: float | None = None) -> Estimate:
    """The score interval of a paired difference of proportions, (b - c) / n (Tango 1998, Stat Med 17:891).

    `b` and `c` count the examples that only the first and only the second system got right. Counts are
    divided by the design effect `deff`; `dof` asks for the t quantile in place of the normal one.
    """
    if n <= 0 or b < 0 or c < 0 or b + c > n * (1 + 1e-9):
        raise ValueError(f"{b} and {c} discordant among {n} pairs cannot be")
    b, c, n = b / deff, c / deff, n / deff
    quantile = Z if dof is None else _t_quantile(dof)
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


def sign_flip(
    differences: ArrayLike, groups: Sequence[str], rng: np.random.Generator, draws: int = 10_000
) -> SignFlip:
    """The paired permutation test: between equal systems, each group's difference could as well be reversed.

    Whole groups are flipped. Exact for up to 14 groups that differ; exact too where all of those differ by
    the same amount, which for right-or-wrong scores without groups is McNemar's exact test; otherwise `draws`
    random flips with p = (1 + hits) / (draws + 1), which is never too small (Phipson & Smyth 2010).
    """
    sums = _group_sums(_finite(differences, groups), groups)
    sums = sums[~np.isclose(sums, 0, atol=1e-12)]
    sizes = np.abs(sums)
    if len(sums) == 0:
        return SignFlip(1.0, 1.0)
    observed = float(sums.sum())
    nearly = 1e-9 * float(sizes.sum())  # sums in another order differ in the last digits
    if len(sums) <= MAX_EXACT_GROUPS:
        patterns = np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1
        flipped = (1 - 2 * patterns) @ sums
        return SignFlip(
            float(np.mean(flipped >= observed - nearly)),
            float(np.mean(np.abs(flipped) >= abs(observed) - nearly)),
        )
    if np.allclose(sizes, sizes[0]):
        wins = int(np.sum(sums > 0))
        fewer = max(wins, len(sums) - wins)
        return SignFlip(
            float(stats.binom.sf(wins - 1, len(sums), 0.5)),
            min(1.0, 2 * float(stats.binom.sf(fewer - 1, len(sums), 0.5))),
        )
    one_sided, two_sided = 1, 1
    for start in range(0, draws, 1000):  # in pieces, so that memory stays small
        signs = 1 - 2 * rng.integers(0, 2, size=(min(1000, draws - start), len(sums)), dtype=np.int8)
        flipped = signs @ sums
        one_sided += int(np.sum(flipped >= observed - nearly))
        two_sided += int(np.sum(np.abs(flipped) >= abs(observed) - nearly))
    return SignFlip(one_sided / (draws + 1), two_sided / (draws + 1))


def paired_gain(
    tuned: Mapping[str, float],
    rival: Mapping[str, float],
    groups: Mapping[str, str],
    rng: np.random.Generator,
) -> PairedGain:
    """What `tuned` gains over `rival`; all three map example ids, and must hold the same ones.

    Scores are in 0..1 and defined: leave out an example whose metric is undefined from both sides.
    Right-or-wrong scores get Tango's interval, others a t interval on group sums, or all of -1..1 ("cannot
    tell") where fewer than 10 groups differ. Raises ValueError when the ids do not pair up.
    """
    if not tuned:
        raise ValueError("no examples to compare on")
    if tuned.keys() != rival.keys() or not tuned.keys() <= groups.keys():
        unpaired = sorted((tuned.keys() ^ rival.keys()) | (tuned.keys() - groups.keys()))
        raise ValueError(f"{len(unpaired)} examples are not on both sides, such as {unpaired[0]}")
    ids = sorted(tuned)
    first = np.array([tuned[i] for i in ids], dtype=np.float64)
    second = np.array([rival[i] for i in ids], dtype=np.float64)
    names = [groups[i] for i in ids]
    differences = first - second
    deff = design_effect(differences, names)
    if _is_binary(first) and _is_binary(second):
        b, c = int(np.sum(differences > 0)), int(np.sum(differences < 0))
        interval = tango(b, c, len(ids), deff, dof=len(set(names)) - 1)
    elif np.count_nonzero(_group_sums(differences, names)) < MIN_NONZERO_GROUPS:
        interval = Estimate(float(differences.mean()), -1.0, 1.0)
    else:
        interval = mean_interval(differences, names, bounds=(-1.0, 1.0))
    chance = sign_flip(differences, names, rng)
    return PairedGain(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_one_sided=chance.one_sided,
        p_two_sided=chance.two_sided,
        discordance=float(np.mean(differences != 0)),
        design_effect=deff,
    )


def _finite(values: ArrayLike, groups: Sequence[str]) -> Floats:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or len(x) != len(groups):
        raise ValueError(
            f"{x.size} values for {len(groups)} groups: one group per value, and at least one value"
        )
    if not np.all(np.isfinite(x)):
        raise ValueError("an undefined value has no place in a mean: leave its example out")
    return x


def _is_binary(values: Floats) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _group_sums(values: Floats, groups: Sequence[str]) -> Floats:
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    sums: Floats = np.bincount([numbers[group] for group in groups], weights=values).astype(np.float64)
    return sums


def _standard_error(values: Floats, groups: Sequence[str]) -> float:
    """Of the mean, from the spread of group sums around their expectation (Liang & Zeger 1986)."""
    residuals = _group_sums(values - values.mean(), groups)
    correction = len(residuals) / (len(residuals) - 1)
    return math.sqrt(correction * float(np.sum(residuals**2))) / len(values)


def _t_quantile(dof: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, dof)) if dof > 0 else math.inf
