"""The verdict's reasons, each with the numbers that it rests on and test examples in which it can be seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunewise.approaches.names import FINE_TUNED, FINE_TUNED_RAG, RAG, TRAINED
from tunewise.evaluate.metrics.scoring import FORM, KNOWING
from tunewise.evaluate.runner import value_of
from tunewise.records import Reason, Verdict
from tunewise.report.examples import AnswerSheet, Case, is_full
from tunewise.report.facts import Fact
from tunewise.report.rivals import Contest
from tunewise.report.wording import gain, interval, is_number, money, percent, plain, points, shorten, title

NOT_MEASURED = "not_measured"
"""The evidence that is a list of words, and has a place of its own on the page."""
SENTENCE_LIMIT = 600
_EVIDENCE_LIMIT = 400
_MAX_CASES = 3


@dataclass(frozen=True, slots=True)
class _Sight:
    """Where a reason is seen: examples on which `better` does well by a metric and `worse` does not."""

    worse: str
    """A name in `_name_sides`."""
    better: str | None = None
    """None: it is enough that the other one fails."""
    metric: str | None = None
    """None is the primary one."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Examples in which a reason is seen: what they have in common, how many there are, and the first."""

    words: str
    count: int
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class OpenReason:
    """A reason with what it opens onto."""

    text: str
    evidence: tuple[Fact, ...]
    sightings: tuple[Sighting, ...]


_WON = (_Sight("untrained", "tuned"),)
_EITHER_WAY = (*_WON, _Sight("tuned", "untrained"))
_FAILED = (_Sight("tuned"), _Sight("untrained"))
_BETTER_FORM = (_Sight("untrained", "tuned", FORM),)
_SEEN_IN: Mapping[str, tuple[_Sight, ...]] = {
    "beats-every-rival": _WON,
    "same-quality-cheaper": _EITHER_WAY,
    "measured-gain": _EITHER_WAY,
    "cannot-tell": _EITHER_WAY,
    "gain-too-small": _EITHER_WAY,
    "no-gain-seen": _EITHER_WAY,
    "more-data-would-help": _EITHER_WAY,
    "format-not-learned-by-prompting": _BETTER_FORM,
    "form-only": _BETTER_FORM,
    "knows-less": (_Sight("tuned", "untrained", KNOWING),),
    "both-needed": (_Sight(FINE_TUNED, FINE_TUNED_RAG),),
    "answers-live-in-documents": (_Sight("closed-book", RAG, KNOWING),),
    "retrieval-helps": (_Sight("closed-book", RAG),),
    "prompting-already-good": (_Sight("untrained"),),
    "good-on-few-examples": (_Sight("untrained"),),
    "guesses-facts": (_Sight("tuned"),),
    "answers-mispaired": _FAILED,
    "facts-need-documents": _FAILED,
    "documents-lack-answers": _FAILED,
    "retrieval-misses": _FAILED,
    "no-relation-found": _FAILED,
    "nothing-beats-guessing": _FAILED,
    "still-learning": _FAILED,
    "labels-cap-the-score": _FAILED,
}
"""By the code of the reason; others are seen in no single example."""


def open_reason(reason: Reason, verdict: Verdict, contest: Contest, sheet: AnswerSheet) -> OpenReason:
    """The reason, its numbers written out, and where it can be seen."""
    evidence = {key: value for key, value in reason.evidence.items() if key != NOT_MEASURED}
    rows = _Writer(verdict).rows(evidence)
    facts = tuple(Fact(shorten(name, 80), shorten(value, _EVIDENCE_LIMIT)) for name, value in rows)
    sides = _name_sides(verdict, contest)
    found = (_look(sight, sides, sheet) for sight in _SEEN_IN.get(reason.code, ()))
    sightings = tuple(sighting for sighting in found if sighting is not None)
    return OpenReason(shorten(reason.text, SENTENCE_LIMIT), facts, sightings)


def list_not_measured(reasons: Sequence[Reason]) -> tuple[str, ...]:
    """What could have changed the verdict and was not looked at, in words."""
    lists = (reason.evidence.get(NOT_MEASURED) for reason in reasons)
    return tuple(
        shorten(str(words), SENTENCE_LIMIT)
        for each in lists
        if isinstance(each, list | tuple)
        for words in each
    )


def _name_sides(verdict: Verdict, contest: Contest) -> Mapping[str, str]:
    """Who stands where in this verdict, by approach name."""
    present = {result.name for result in verdict.approaches}
    mentioned = {
        "tuned": contest.tuned, "untrained": contest.untrained, "closed-book": contest.closed_book,
    }  # fmt: skip
    named = {side: result.name for side, result in mentioned.items() if result is not None}
    return named | {name: name for name in (RAG, *TRAINED) if name in present}


def _look(sight: _Sight, sides: Mapping[str, str], sheet: AnswerSheet) -> Sighting | None:
    wanted = [side for side in (sight.better, sight.worse) if side is not None]
    if any(side not in sides for side in wanted):
        return None
    names = [sides[side] for side in wanted]
    metric = sight.metric or sheet.metric
    seen = [
        example_id
        for example_id, answers in sheet.by_example.items()
        # Undefined is neither: such an example shows nothing.
        if all(name in answers and value_of(answers[name], metric) is not None for name in names)
        and not is_full(answers[names[-1]], metric)
        and (len(names) == 1 or is_full(answers[names[0]], metric))
    ]
    if not seen:
        return None
    cases = tuple(sheet.case(example_id, names) for example_id in seen[:_MAX_CASES])
    return Sighting(_say(names, sight.metric), len(seen), cases)


def _say(names: Sequence[str], metric: str | None) -> str:
    did, did_not = {
        None: ("is right", "is not"),
        FORM: ("keeps the form", "does not"),
        KNOWING: ("says what was asked for", "does not"),
    }[metric]
    if len(names) == 1:
        return f"{names[0]} {did_not} right" if metric is None else f"{names[0]} {did_not}"
    return f"{names[0]} {did} and {names[1]} {did_not}"


_TITLES = {
    "against": "Gain over",
    "knows_more_than": "Knows more than",
    "knows_less_than": "Knows less than",
    "p_value": "p (two-sided)",
}
_SHARES = {
    "score", "low", "best_possible", "hit_rate", "random_hit_rate", "saved_share", "most_common_answer",
    "share_of_answers_that_fit_another_prompt", "share_of_an_answer_in_its_prompt",
    "share_of_the_facts_that_training_learned",
}  # fmt: skip
_DIFFERENCES = {"visible_gain", "gain_of_similar_examples_over_guessing"}
_AMOUNTS = {"cost_per_1000_calls", "cost_per_1000_calls_of_rival", "hourly_price", "upkeep_per_month"}


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes out a verdict's evidence."""

    verdict: Verdict

    def rows(self, evidence: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        """Nested numbers one to a row, so that each can be read; a gain and its ends are one row."""
        rest = dict(evidence)
        ends = [rest.get(key) for key in ("gain", "low", "high")]
        if all(map(is_number, ends)):
            low_end = " (lower end over all rivals)" if "against" in rest else ""
            yield f"{prefix}Gain{low_end}", gain(*ends)
            rest = {key: value for key, value in rest.items() if key not in ("gain", "low", "high")}
        for key, value in rest.items():
            name = f"{prefix}{key if self._is_approach(key) else _TITLES.get(key, title(str(key)))}"
            if isinstance(value, Mapping):
                yield from self.rows(value, f"{name} " if key in _TITLES else f"{name} · ")
            else:
                yield name, self._write(key, value)

    def _is_approach(self, key: str) -> bool:
        return any(result.name == key for result in self.verdict.approaches)

    def _write(self, key: str, value: Any) -> str:
        if _is_interval(value):
            estimate, low, high = value
            return f"{percent(estimate)} ({interval(low, high)})" if key in _SHARES else gain(*value)
        if not is_number(value):
            return plain(value)
        if key in _AMOUNTS:
            return money(value, self.verdict.currency)
        if key in _DIFFERENCES:
            return f"{points(value)} points"
        return percent(value) if key in _SHARES or self._is_approach(key) else plain(value)


def _is_interval(value: Any) -> bool:
    """Whether this is an estimate with the ends of its interval, as evidence holds gains."""
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(map(is_number, value)):
        return False
    estimate, low, high = value
    return bool(-1 <= low <= estimate <= high <= 1)
