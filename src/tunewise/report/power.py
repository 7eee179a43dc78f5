"""What a test of this size could and could not have seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.data.split import detectable_difference
from tunewise.decide.compare import compare_pair
from tunewise.decide.criteria import CLEAR_GAIN, SMALLEST_GAIN, more_test_examples
from tunewise.evaluate.runner import ScoredRun, group_by_approach
from tunewise.records import Score, Verdict
from tunewise.report.facts import look_up
from tunewise.report.pairs import seed_of
from tunewise.report.rivals import Contest
from tunewise.report.wording import is_number


@dataclass(frozen=True, slots=True)
class Want:
    """How many more test examples would show a difference of so many points; 0 where they are enough."""

    points: int
    more: int


@dataclass(frozen=True, slots=True)
class Power:
    """Of a paired comparison, with 80% power at the two-sided 5% level."""

    examples: int
    groups: int
    points: float | None
    """The smallest difference that shows; None where none would."""
    is_planned: bool
    """Whether that was reckoned before the answers told how often two approaches disagree."""
    compared: tuple[str, ...]
    """The two approaches whose answers told."""
    wants: tuple[Want, ...]


def find_power(
    verdict: Verdict, scores: Sequence[Score], contest: Contest, manifest: Mapping[str, Any]
) -> Power:
    """By how often the tuned model and the best rival disagreed; without those two, as the split planned."""
    groups = len({score.group for score in scores})
    pair = [side.name for side in (contest.tuned, contest.untrained) if side is not None]
    by_approach = group_by_approach(scores)
    runs = {name: ScoredRun(tuple(by_approach.get(name, ())), 0.0) for name in pair}
    compared = None
    if len(pair) == 2 and _are_paired(runs):
        compared = compare_pair(pair[0], pair[1], runs, verdict.primary_metric, seed_of(manifest))
    if compared is None:
        planned = look_up(manifest, "split", "detectable_difference")
        difference = 100 * planned if is_number(planned) else None
        return Power(verdict.test_examples, groups, difference, True, (), ())
    gain, _ = compared
    shows = detectable_difference(verdict.test_examples, gain.discordance, gain.design_effect)
    wants = tuple(
        Want(round(100 * difference), more_test_examples(difference, gain, verdict.test_examples))
        for difference in (CLEAR_GAIN, SMALLEST_GAIN)
    )
    points = None if shows is None else 100 * shows
    return Power(verdict.test_examples, groups, points, False, tuple(pair), wants)


def _are_paired(runs: Mapping[str, ScoredRun]) -> bool:
    first, second = ({score.example_id for score in run.scores} for run in runs.values())
    return bool(first) and first == second
