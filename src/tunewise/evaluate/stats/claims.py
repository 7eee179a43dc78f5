"""What may be claimed of gains: over several rivals, one by one or all at once, and how much they matter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tunewise.evaluate.stats.gains import PairedGain
from tunewise.records import Gain

Zone = Literal["win", "non-inferior", "small", "undecided"]


def gain_over_all(gains: Mapping[str, PairedGain], best: str) -> Gain:
    """The gain over every one of the rivals and floors in `gains`; `best` names the rival to be replaced.

    Beating all of them is an intersection-union test: each comparison may use the full level, and the weakest
    counts (Berger 1982). `best` has to be chosen on validation: chosen by these gains, it would flatter.
    """
    if best not in gains:
        raise ValueError(f"no gain over {best!r} among those over {', '.join(map(repr, gains)) or 'nobody'}")
    return Gain(
        estimate=gains[best].estimate,
        low=min(gain.low for gain in gains.values()),
        high=gains[best].high,
        p_value=max(gain.p_two_sided for gain in gains.values()),
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted, so that any of the claims below a level is false only that often (Holm 1979); in their order.

    For claims that are made one by one. The claim to beat all rivals at once needs none, see `gain_over_all`.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def non_inferiority_margin(smallest_gain: float, best_untrained: float, best_floor: float) -> float:
    """How much worse than the best untrained rival is still as good, given both scores; 0 or more.

    `smallest_gain` is the smallest that matters. Half of what the rival is worth above guessing has to be
    kept in any case, or a floor could pass for as good (the fixed-margin method: Piaggio et al. 2012, JAMA
    308:2594).
    """
    return max(0.0, min(smallest_gain, (best_untrained - best_floor) / 2))


def zone_of(gain: PairedGain, smallest_gain: float, margin: float) -> Zone:
    """Where a gain lies; of several zones the first.

    A win is surely there, and in all likelihood large enough to matter. Non-inferior is surely no worse than
    by `margin`. Small surely does not matter. To ask for non-inferiority where there is no win needs no
    correction, as a win is the stronger claim.
    """
    if gain.is_sure and gain.estimate >= smallest_gain:
        return "win"
    if gain.low > -margin:
        return "non-inferior"
    return "small" if gain.high < smallest_gain else "undecided"
