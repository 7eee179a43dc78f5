"""From the readings of paired rounds to a figure: medians, and the median of the rounds' ratios."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from results_file import Figure


def paired_figure(
    figure: str,
    unit: str,
    ours: Sequence[float],
    peer: Sequence[float],
    target: float | None,
    limited_by: str,
) -> Figure:
    """`ours[i]` and `peer[i]` were read in the same round, so that the machine's moods strike both."""
    ratio = median(a / b for a, b in zip(ours, peer, strict=True))
    return Figure(
        figure=figure,
        value=round(median(ours), 3),
        unit=unit,
        peer=round(median(peer), 3),
        ratio=round(ratio, 3),
        target=target,
        holds=None if target is None else ratio >= target,
        limited_by=limited_by,
    )


def unpaired_figure(
    figure: str, unit: str, ours: Sequence[float], target: float | None, limited_by: str
) -> Figure:
    """For want of a peer: whether the target holds is not known."""
    return Figure(figure, round(median(ours), 3), unit, None, None, target, None, limited_by)
