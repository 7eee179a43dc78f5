"""The tuned model against each other approach: by how much, how surely, and whether that matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.approaches.names import CONTROLS
from tunewise.decide.compare import compare_pair
from tunewise.decide.criteria import SMALLEST_GAIN
from tunewise.evaluate.runner import ScoredRun
from tunewise.evaluate.stats import PairedGain, Zone, holm, non_inferiority_margin, zone_of
from tunewise.records import Score, Verdict
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


def compare_with_each(verdict: Verdict, scores: Sequence[Score], contest: Contest) -> list[Pair]:
    """In the order of the approaches, controls left out; none without a tuned model."""
    if contest.tuned is None:
        return []
    by_approach: dict[str, list[Score]] = {}
    for score in scores:
        by_approach.setdefault(score.approach, []).append(score)
    runs = {name: ScoredRun(tuple(own), 0.0) for name, own in by_approach.items()}
    tuned = contest.tuned.name
    gains: dict[str, PairedGain] = {}
    for row in verdict.approaches:
        if row.name != tuned and row.name not in CONTROLS and {row.name, tuned} <= runs.keys():
            compared = compare_pair(tuned, row.name, runs, verdict.primary_metric, seed=0)
            if compared is not None:
                gains[row.name] = compared[0]
    adjusted = holm({name: min(1.0, 2 * gain.p_one_sided) for name, gain in gains.items()})
    margin = _margin(verdict, contest)
    return [
        Pair(
            name,
            100 * gain.estimate,
            100 * gain.low,
            100 * gain.high,
            adjusted[name],
            ZONE_WORDS[zone_of(gain, SMALLEST_GAIN, margin)],
        )
        for name, gain in gains.items()
    ]


def _margin(verdict: Verdict, contest: Contest) -> float:
    floors = [row.score for row in verdict.approaches if describe(row.name)[0] == "floor"]
    if contest.untrained is None or not floors:
        return SMALLEST_GAIN
    return non_inferiority_margin(SMALLEST_GAIN, contest.untrained.score, max(floors))
