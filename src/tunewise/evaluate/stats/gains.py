"""What one system gains over another on the same examples, whatever the metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from tunewise.evaluate.stats.groups import (
    LEVEL,
    MIN_DIFFERING_GROUPS,
    Floats,
    design_effect,
    group_sums,
)
from tunewise.evaluate.stats.intervals import is_binary, mean_interval, tango
from tunewise.evaluate.stats.macro_f1 import macro_f1_gain
from tunewise.evaluate.stats.permutation import sign_flip
from tunewise.records import Estimate

MetricKind = Literal["binary", "bounded", "labels", "judge"]
"""Right (1) or wrong (0); anything in 0..1; labels, scored by macro-F1; a judge's comparisons."""


@dataclass(frozen=True, slots=True)
class PairedGain:
    """What the first system gains over the second on the same examples."""

    estimate: float
    low: float
    high: float
    p_one_sided: float
    discordance: float
    """The mean squared difference: of right and wrong answers, on what share of examples the two differ."""
    design_effect: float

    @property
    def p_two_sided(self) -> float:
        """Twice the one-sided p, so that a claim over several rivals takes the largest of either kind."""
        return min(1.0, 2 * self.p_one_sided)

    @property
    def is_sure(self) -> bool:
        """Whether the first is surely better: its interval is above 0, and its test passes at the same level.

        The two are computed differently, and on few examples that differ one may pass without the other.
        """
        return self.low > 0 and self.p_one_sided <= LEVEL


def paired_gain(
    tuned: Mapping[str, float] | Mapping[str, str | None],
    rival: Mapping[str, float] | Mapping[str, str | None],
    groups: Mapping[str, str],
    rng: np.random.Generator,
    kind: MetricKind | None = None,
    expected: Mapping[str, str] | None = None,
) -> PairedGain:
    """What `tuned` gains over `rival`. All map example ids, and the two sides must hold the same ones.

    By the `kind` of the metric, without which values that are all 0 or 1 are binary and others bounded:

    - binary: Tango's interval, over the design effect.
    - bounded: a t interval on group sums, or all of -1..1 ("cannot tell") where fewer than 10 groups differ.
    - labels: the sides map to the labels answered (None is no answer), `expected` to the right ones; see
      `macro_f1_gain`. Discordance and design effect are those of being right.
    - judge: a side maps to how its answer fared in the comparison that showed it first: 1 better, 0 a tie, -1
      worse. Where the two comparisons of an example contradict each other, it is a tie. Such outcomes are
      distributed as the differences of binary values are, and treated like them.

    Values are defined: leave out an example whose metric is undefined from both sides. Raises ValueError
    where the ids do not pair up, or values are not of their kind.
    """
    ids = _paired_ids(tuned, rival, groups)
    names = [groups[i] for i in ids]
    if kind == "labels":
        ours, theirs = ([cast("str | None", side[i]) for i in ids] for side in (tuned, rival))
        if expected is None or not set(ids) <= expected.keys():
            raise ValueError("labels are compared with the expected ones: give those of all examples")
        right = [expected[i] for i in ids]
        interval, chance = macro_f1_gain(ours, theirs, right, names, rng)
        differences = np.array(
            [float(a == label) - (b == label) for a, b, label in zip(ours, theirs, right, strict=True)]
        )
    else:
        first, second = (np.array([side[i] for i in ids], dtype=np.float64) for side in (tuned, rival))
        kind = kind or ("binary" if is_binary(first) and is_binary(second) else "bounded")
        differences = _differences(first, second, kind)
        interval = gain_interval(differences, names, kind)
        chance = sign_flip(differences, names, rng)
    return PairedGain(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        p_one_sided=chance.one_sided,
        discordance=float(np.mean(differences**2)),
        design_effect=design_effect(differences, names),
    )


def _paired_ids(
    tuned: Mapping[str, object], rival: Mapping[str, object], groups: Mapping[str, str]
) -> list[str]:
    if not tuned:
        raise ValueError("no examples to compare on")
    if tuned.keys() != rival.keys() or not tuned.keys() <= groups.keys():
        unpaired = sorted((tuned.keys() ^ rival.keys()) | (tuned.keys() - groups.keys()))
        raise ValueError(f"{len(unpaired)} examples are not on both sides, such as {unpaired[0]}")
    return sorted(tuned)


def _differences(first: Floats, second: Floats, kind: MetricKind) -> Floats:
    values = np.concatenate([first, second])
    if not np.all(np.isfinite(values)):
        raise ValueError("an undefined value has no place in a comparison: leave its example out")
    allowed = {
        "binary": is_binary(values),
        "bounded": np.all((values >= 0) & (values <= 1)),
        "judge": np.all(np.isin(values, (-1, 0, 1))),
    }
    if not allowed[kind]:
        raise ValueError(f"values from {values.min():g} to {values.max():g} are not those of a {kind} metric")
    return settle_orders(first, second) if kind == "judge" else first - second


def settle_orders(first: ArrayLike, second: ArrayLike) -> Floats:
    """What a judge's two comparisons of each pair come to: a tie (0) where they contradict each other.

    `first` is how one side's answers fared when they were shown first, `second` how the other's did then.
    """
    ours, theirs = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return np.where(ours == -theirs, ours, 0.0)


def gain_interval(
    differences: Floats, groups: Sequence[str], kind: Literal["binary", "bounded", "judge"]
) -> Estimate:
    """The mean difference with its interval, see `paired_gain`."""
    if kind == "bounded":
        if np.count_nonzero(group_sums(differences, groups)) < MIN_DIFFERING_GROUPS:
            return Estimate(float(differences.mean()), -1.0, 1.0)
        return mean_interval(differences, groups, bounds=(-1.0, 1.0))
    wins, losses = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    deff = design_effect(differences, groups)
    return tango(wins, losses, len(differences), deff, dof=len(set(groups)) - 1)
