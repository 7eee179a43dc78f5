"""Test examples side by side: which are shown, and how each approach did on each.

Every kind of outcome is represented as evenly as the examples allow; within a kind, the hash of the example's
id decides. The sample is fair within a kind, not across kinds, so the page says how many of each there are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest

from tunewise.records import Score, Verdict
from tunewise.report.rivals import Contest
from tunewise.report.wording import is_number, percent, shorten

MAX_ROWS = 60
_INPUT_LIMIT, _ANSWER_LIMIT, _NAME_LIMIT = 1500, 600, 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What one approach answered. `mark` is a CSS class; `icon` and `word` say the same without colour."""

    approach: str
    mark: str
    icon: str
    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One test example with approaches' answers; `main` are those that are seen without opening it."""

    id: str
    outcome: str
    input: str | None
    expected: str
    main: tuple[Answer, ...]
    others: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One choice of the filter: how many test examples are of this kind, and how many of them are shown."""

    code: str
    title: str
    total: int
    shown: int


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The examples section."""

    outcomes: tuple[Outcome, ...]
    cases: tuple[Case, ...]
    total: int


@dataclass(frozen=True, slots=True)
class AnswerSheet:
    """Every approach's answer to every test example."""

    by_example: Mapping[str, Mapping[str, Score]]
    """By example id and approach, in the order of the ids' hashes: a sample's first rows are a sample too."""
    names: tuple[str, ...]
    """Of the approaches, in the verdict's order."""
    metric: str
    """The primary one, which says what is right."""
    inputs: Mapping[str, str]

    @classmethod
    def collect(
        cls, verdict: Verdict, scores: Sequence[Score], inputs: Mapping[str, str] | None
    ) -> AnswerSheet:
        """The answers of the verdict's approaches; `inputs` gives input texts by example id."""
        names = tuple(result.name for result in verdict.approaches)
        by_example: dict[str, dict[str, Score]] = {}
        for score in scores:
            if score.approach in names:
                by_example.setdefault(score.example_id, {})[score.approach] = score
        in_order = {example_id: by_example[example_id] for example_id in sorted(by_example, key=_hash)}
        return cls(in_order, names, verdict.primary_metric, inputs or {})

    def case(self, example_id: str, main: Sequence[str], outcome: str = "any") -> Case:
        """One example laid out, with these approaches before the others."""
        answers, text = self.by_example[example_id], self.inputs.get(example_id)
        others = [name for name in self.names if name not in main]
        return Case(
            id=shorten(example_id, _NAME_LIMIT),
            outcome=outcome,
            input=None if text is None else shorten(text, _INPUT_LIMIT),
            expected=shorten(next(iter(answers.values())).expected, _ANSWER_LIMIT),
            main=tuple(_answer(name, answers.get(name), self.metric) for name in main),
            others=tuple(_answer(name, answers.get(name), self.metric) for name in others),
        )


def compare_examples(contest: Contest, sheet: AnswerSheet) -> SideBySide:
    """Choose up to `MAX_ROWS` test examples and lay their answers side by side."""
    titles = _outcome_titles(contest)
    kinds: dict[str, list[str]] = {code: [] for code in titles}
    for example_id, answers in sheet.by_example.items():
        kinds[_outcome(answers, contest, sheet.metric)].append(example_id)
    main = [side.name for side in (contest.tuned, contest.untrained) if side is not None]
    in_turn = (one for one in chain.from_iterable(zip_longest(*kinds.values())) if one is not None)
    cases = tuple(
        sheet.case(one, main, _outcome(sheet.by_example[one], contest, sheet.metric))
        for one in islice(in_turn, MAX_ROWS)
    )
    shown = Counter(case.outcome for case in cases)
    outcomes = (Outcome(code, title, len(kinds[code]), shown[code]) for code, title in titles.items())
    return SideBySide(tuple(outcomes), cases, len(sheet.by_example))


def is_full(score: Score | None, metric: str) -> bool:
    """Whether it has the full score on this metric; part of it, undefined, failed and missing do not."""
    value = score.metrics.get(metric) if score is not None and score.status == "answered" else None
    return value is not None and value >= 1


def _hash(example_id: str) -> str:
    return hashlib.sha256(example_id.encode("utf-8", "backslashreplace")).hexdigest()


def _outcome_titles(contest: Contest) -> dict[str, str]:
    if contest.tuned is not None and contest.untrained is not None:
        rival = contest.untrained_title
        return {
            "tuned-only": "Only the tuned model right",
            "rival-only": f"Only the {rival} right",
            "neither": "Both wrong",
            "both": "Both right",
        }
    if contest.tuned is None and contest.untrained is None:
        return {"any": "Test examples"}
    one = "tuned model" if contest.tuned is not None else contest.untrained_title
    return {"neither": f"{one.capitalize()} wrong", "both": f"{one.capitalize()} right"}


def _outcome(answers: Mapping[str, Score], contest: Contest, metric: str) -> str:
    sides = [
        is_full(answers.get(side.name), metric)
        for side in (contest.tuned, contest.untrained)
        if side is not None
    ]
    if not sides:
        return "any"
    if all(sides):
        return "both"
    if not any(sides):
        return "neither"
    return "tuned-only" if sides[0] else "rival-only"


def _answer(name: str, score: Score | None, metric: str) -> Answer:
    name = shorten(name, _NAME_LIMIT)
    if score is None or score.status == "missing":
        return Answer(name, "missing", "·", "not asked", "")
    if score.status == "failed":
        return Answer(name, "failed", "!", "failed", "")
    value = score.metrics.get(metric)
    text = shorten(score.answer, _ANSWER_LIMIT)
    if not is_number(value):
        return Answer(name, "undefined", "–", "undefined", text)
    if value is not None and 0 < value < 1:
        return Answer(name, "partly", "◐", f"{percent(value)} right", text)
    return Answer(name, "right", "✓", "right", text) if value else Answer(name, "wrong", "✗", "wrong", text)
