"""The tuned model against each other approach: by how much, how surely, and whether that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.approaches.names import CONTROLS
from tunewise.decide.compare import compare_pair
from tunewise.decide.criteria import SMALLEST_GAIN
from tunewise.evaluate.runner import ScoredRun, group_by_approach
from tunewise.evaluate.stats import PairedGain, Zone, holm, non_inferiority_margin, zone_of
from tunewise.records import Score, Verdict
from tunewise.report.facts import look_up
from tunewise.report.rivals import Contest, describe

ZONE_WORDS: dict[Zone, str] = {
    "win": "better",
    "non-inferior": "at least about as good",
    "small": "no gain that matters",
    "undecided": "cannot tell",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """The tuned model beside one other approach; gains in points."""

    rival: str
    gain: float
    low: float
    high: float
    p_value: float
    """Two-sided, adjusted for the number of pairs shown."""
    zone: str
    """In words."""


def compare_with_each(
    verdict: Verdict, scores: Sequence[Score], contest: Contest, manifest: Mapping[str, Any]
) -> list[Pair]:
    """In the order of the approaches, controls left out; none without a tuned model."""
    if contest.tuned is None:
        return []
    runs = {name: ScoredRun(tuple(own), 0.0) for name, own in group_by_approach(scores).items()}
    tuned = contest.tuned.name
    gains: dict[str, PairedGain] = {}
    for row in verdict.approaches:
        if row.name != tuned and row.name not in CONTROLS and {row.name, tuned} <= runs.keys():
            compared = compare_pair(tuned, row.name, runs, verdict.primary_metric, seed_of(manifest))
            if compared is not None:
                gains[row.name] = compared[0]
    adjusted = holm({name: gain.p_two_sided for name, gain in gains.items()})
    margins = _margins(verdict)
    return [
        Pair(
            name,
            100 * gain.estimate,
            100 * gain.low,
            100 * gain.high,
            adjusted[name],
            ZONE_WORDS[zone_of(gain, SMALLEST_GAIN, margins[name])],
        )
        for name, gain in gains.items()
    ]


def _margins(verdict: Verdict) -> dict[str, float]:
    """By approach: how much worse than it is still as good, as `criteria.not_inferior` has it."""
    guessing = max((row.score for row in verdict.approaches if describe(row.name)[0] == "floor"), default=0.0)
    return {
        row.name: non_inferiority_margin(SMALLEST_GAIN, row.score, guessing) for row in verdict.approaches
    }


def seed_of(manifest: Mapping[str, Any]) -> int:
    """The run's, so that a gain is the same wherever it is shown."""
    seed = look_up(manifest, "findings", "seed")
    return seed if isinstance(seed, int) else 0
