"""What each approach knows, and how well it keeps the form: one gap calls for documents, one for training.

Beside it, where there are documents: how often the passages that were found held the answer, and how often
the model then answered right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.approaches.names import WITH_DOCUMENTS
from tunewise.decide.criteria import MIN_KNOWING_EXAMPLES
from tunewise.evaluate.metrics.scoring import FORM, KNOWING
from tunewise.evaluate.runner import group_by_approach, value_of
from tunewise.records import Score, Verdict
from tunewise.report.examples import AnswerSheet, is_full
from tunewise.report.facts import look_up
from tunewise.report.rivals import Contest, describe
from tunewise.report.tables import NAME_LIMIT
from tunewise.report.wording import NOTHING, is_number, percent, shorten


@dataclass(frozen=True, slots=True)
class Share:
    """A mean, written out, and in percent for the bar beside it; without a bar where it is undefined."""

    value: str
    percent: float | None


@dataclass(frozen=True, slots=True)
class KnowingAndForm:
    """One approach."""

    name: str
    kind: str
    knowing: Share
    form: Share


@dataclass(frozen=True, slots=True)
class FoundRow:
    """The test examples of which the passages held as much, and how many of them each approach got right."""

    held: str
    examples: int
    right: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What searching the documents found, and what became of it."""

    approaches: tuple[str, ...]
    """Whose answers `FoundRow.right` counts."""
    rows: tuple[FoundRow, ...]
    hit_rate: str | None
    """Of the answers of validation, how much stood in the passages found ..."""
    random_hit_rate: str | None
    """... and in as many passages drawn at random."""
    shortened: str | None
    """The share of prompts without room for all that was found."""


def tell_apart(verdict: Verdict, scores: Sequence[Score]) -> tuple[KnowingAndForm, ...]:
    """Knowing and form of every approach; empty where neither is defined for any answer."""
    by_approach = group_by_approach(scores)
    rows = tuple(
        KnowingAndForm(
            shorten(result.name, NAME_LIMIT),
            describe(result.name)[0],
            _mean(by_approach.get(result.name, ()), KNOWING),
            _mean(by_approach.get(result.name, ()), FORM),
        )
        for result in verdict.approaches
    )
    return (
        rows if any(row.knowing.percent is not None or row.form.percent is not None for row in rows) else ()
    )


def describe_defined(verdict: Verdict, scores: Sequence[Score]) -> str:
    """On how many test examples knowing and form say something, as that depends on the example alone."""
    by_approach = group_by_approach(scores).values()

    def most(metric: str) -> int:
        values = ([value_of(score, metric) for score in run] for run in by_approach)
        return max((sum(value is not None for value in run) for run in values), default=0)

    knowing, form = most(KNOWING), most(FORM)
    few = ", which are too few to tell" if 0 < knowing < MIN_KNOWING_EXAMPLES else ""
    return (
        f"Knowing is defined on {knowing} of {verdict.test_examples} test examples{few}: the questions of "
        f"the others hold most of their answers. Form is defined on {form}."
    )


def _mean(scores: Sequence[Score], metric: str) -> Share:
    """As the verdict has it: an example without an answer counts as 0, an undefined value not at all."""
    if not any(is_number(score.metrics.get(metric)) for score in scores):
        return Share(NOTHING, None)
    values = [value for score in scores if (value := value_of(score, metric)) is not None]
    return _share(sum(values) / len(values))


def _share(value: float) -> Share:
    return Share(percent(value), round(100 * min(1.0, max(0.0, value)), 1))


def follow_passages(contest: Contest, sheet: AnswerSheet, manifest: Mapping[str, Any]) -> Found | None:
    """How often the right passage was found, against how often the answer then was right.

    None where no documents were searched.
    """
    hit_rate, random_hit_rate, shortened = (
        percent(share) if is_number(share := look_up(manifest, "findings", "retrieval", key)) else None
        for key in ("hit_rate", "random_hit_rate", "shortened_share")
    )
    rows, names = _found_rows(contest, sheet, look_up(manifest, "passages_hold"))
    if not rows and hit_rate is None:
        return None
    names = [shorten(name, NAME_LIMIT) for name in names]
    return Found(tuple(names), rows, hit_rate, random_hit_rate, shortened)


def _found_rows(contest: Contest, sheet: AnswerSheet, held: Any) -> tuple[tuple[FoundRow, ...], list[str]]:
    names = [name for name in sheet.names if name in WITH_DOCUMENTS]
    if not names or not isinstance(held, Mapping):
        return (), []
    untrained = contest.untrained
    if untrained is not None and untrained.name not in names:
        names.append(untrained.name)
    kinds: dict[str, list[str]] = {"all of it": [], "part of it": [], "nothing of it": []}
    for example_id in sheet.by_example:
        share = held.get(example_id)
        if share is not None and is_number(share):
            kind = "all of it" if share >= 1 else "part of it" if share > 0 else "nothing of it"
            kinds[kind].append(example_id)
    rows = (
        FoundRow(kind, len(ids), tuple(_right(ids, name, sheet) for name in names))
        for kind, ids in kinds.items()
        if ids
    )
    return tuple(rows), names


def _right(ids: Sequence[str], name: str, sheet: AnswerSheet) -> Share:
    right = sum(is_full(sheet.by_example[example_id].get(name), sheet.metric) for example_id in ids)
    return _share(right / len(ids))
