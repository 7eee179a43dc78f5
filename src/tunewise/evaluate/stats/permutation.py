"""Permutation tests of paired differences: what chance alone would give, were the two systems equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from tunewise.evaluate.stats.groups import Floats, check_values, group_sums

# Up to here all 2^G sign patterns are tried, which is quicker than drawing 10,000 of them.
MAX_EXACT_GROUPS = 14
DRAWS = 10_000
# Sums in another order differ in the last digits, and have to count as equal.
_NEARLY = 1e-9
_DRAWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ChanceOfGain:
    """How often chance alone gives a difference at least this large: p-values."""

    one_sided: float
    """In favour of the first system."""
    two_sided: float


def sign_flip(
    differences: ArrayLike, groups: Sequence[str], rng: np.random.Generator, draws: int = DRAWS
) -> ChanceOfGain:
    """The test of a mean difference: each group's could as well be reversed. Ties are kept, as zeros.

    Exact where all groups that differ do so by the same amount, which for right-or-wrong scores without
    groups is McNemar's exact test; else as `flip_test` says.
    """
    sums = group_sums(check_values(differences, groups), groups)
    sums = sums[~np.isclose(sums, 0, atol=1e-12)]
    sizes = np.abs(sums)
    if len(sums) > MAX_EXACT_GROUPS and np.allclose(sizes, sizes[0]):
        wins = int(np.sum(sums > 0))
        most = max(wins, len(sums) - wins)
        return ChanceOfGain(
            float(binom.sf(wins - 1, len(sums), 0.5)),
            min(1.0, 2 * float(binom.sf(most - 1, len(sums), 0.5))),
        )
    shares = sums / sizes.sum() if len(sums) else sums
    return flip_test(lambda signs: signs @ shares, len(shares), rng, draws)


def flip_test(
    statistic: Callable[[Floats], Floats], num_groups: int, rng: np.random.Generator, draws: int = DRAWS
) -> ChanceOfGain:
    """The paired permutation test over whole groups: between equal systems, any group's two could be swapped.

    `statistic` takes (flips, groups) signs, in which -1 is swapped, and gives (flips,) differences of the
    size of 1. Exact for up to 14 groups; otherwise `draws` random flips with p = (1 + hits) / (draws + 1),
    which is never too small (Phipson & Smyth 2010). Groups in which the two do not differ may be left out.
    """
    observed = float(statistic(np.ones((1, num_groups)))[0])
    exact = num_groups <= MAX_EXACT_GROUPS
    one_sided = two_sided = 0 if exact else 1
    flips = 2**num_groups if exact else draws + 1
    for signs in _all_signs(num_groups) if exact else _draw_signs(num_groups, rng, draws):
        flipped = statistic(signs)
        one_sided += int(np.sum(flipped >= observed - _NEARLY))
        two_sided += int(np.sum(np.abs(flipped) >= abs(observed) - _NEARLY))
    return ChanceOfGain(one_sided / flips, two_sided / flips)


def _all_signs(num_groups: int) -> Iterator[Floats]:
    patterns = np.arange(2**num_groups)[:, None] >> np.arange(num_groups) & 1
    yield (1 - 2 * patterns).astype(np.float64)


def _draw_signs(num_groups: int, rng: np.random.Generator, draws: int) -> Iterator[Floats]:
    for start in range(0, draws, _DRAWS_AT_ONCE):  # in pieces, so that memory stays small
        size = (min(_DRAWS_AT_ONCE, draws - start), num_groups)
        yield (1 - 2 * rng.integers(0, 2, size=size, dtype=np.int8)).astype(np.float64)
