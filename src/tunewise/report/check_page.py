"""The page of a check: what is in a file of examples, what is wrong with it, and in which rows.

Like the report it loads nothing, runs no script, and takes all text from the data for hostile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import Problem, Severity
from tunewise.data.checks.privacy import Secrets
from tunewise.data.fixes import DUPLICATE, TEXT_FIXES
from tunewise.records import Example
from tunewise.report import charts
from tunewise.report.templates import load_template
from tunewise.report.wording import count, shorten, visible

MAX_ROWS_PER_PROBLEM = 20
_ROWS_UNFOLDED = 5
_MAX_LINES_NAMED = 60
_MAX_BARS = 10
_TEXT_LIMIT, _MESSAGE_LIMIT, _LABEL_LIMIT = 1500, 600, 36

_ICONS: dict[Severity, str] = {"error": "✗", "warning": "!", "note": "i"}


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row that has a problem."""

    line: int
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class ShownProblem:
    """A problem as the page tells it."""

    code: str
    severity: Severity
    icon: str
    message: str
    why: str
    fixable: bool
    """At least in some of the rows that are shown."""
    count: int
    examined: int | None
    lines: str
    rows: tuple[ShownRow, ...]
    """The first ones, without lines that are no examples, or hold a secret."""


def render_check_page(
    name: str,
    num_rows: int,
    examples: Sequence[Example],
    problems: Sequence[Problem],
    answers: str,
    sources: str | None,
    split: Mapping[str, int] | None,
) -> str:
    """The whole page as one self-contained HTML document.

    `answers` says what the answers are like and `sources` where what they say stands; `split` has the size
    of each side. Both are None where there is nothing to say.
    """
    # A page is passed on, and must not spread the keys that it warns of.
    withheld = {line for problem in problems if problem.code == Secrets.code for line in problem.lines}
    by_line = {example.line: example for example in examples if example.line not in withheld}
    severities = Counter(problem.severity for problem in problems)
    distinct = len({example.id for example in examples})
    return load_template("check.html.jinja").render(
        name=shorten(name, 200),
        sound=not severities["error"],
        headline=_headline(distinct, severities),
        num_rows=num_rows,
        distinct=distinct,
        severities=[(severity, severities[severity]) for severity in _ICONS],
        rows_affected=len({line for problem in problems for line in problem.lines}),
        problems=[_show_problem(problem, by_line) for problem in problems],
        rows_unfolded=_ROWS_UNFOLDED,
        answers=shorten(answers, _MESSAGE_LIMIT),
        sources=sources,
        answer_chart=_chart_answers(examples),
        prompt_lengths=_chart_lengths("prompts", [_prompt_length(each) for each in examples]),
        answer_lengths=_chart_lengths("answers", [len(each.answer) for each in examples]),
        split_chart=split
        and Markup(
            charts.count_chart("chart-split", list(split.items()), sum(split.values()), "Sides of the split")
        ),
    )


def _headline(distinct: int, severities: Mapping[Severity, int]) -> str:
    on = f"{count(distinct, 'different example')}"
    if errors := severities["error"]:
        return f"{count(errors, 'error')} to mend before training on {on}."
    if warnings := severities["warning"]:
        return f"Training on {on} is sound; it would be better with {count(warnings, 'warning')} mended."
    return f"Training on {on} is sound: nothing was found that needs mending."


def _show_problem(problem: Problem, by_line: Mapping[int, Example]) -> ShownProblem:
    found = [by_line[line] for line in problem.lines if line in by_line]
    named = ", ".join(f"{line:,}" for line in problem.lines[:_MAX_LINES_NAMED])
    more = problem.count - _MAX_LINES_NAMED
    return ShownProblem(
        code=problem.code,
        severity=problem.severity,
        icon=_ICONS[problem.severity],
        message=shorten(problem.message, _MESSAGE_LIMIT),
        why=next((check.why for check in ALL_CHECKS if check.code == problem.code), ""),
        fixable=_is_fixable(problem.code, found[:MAX_ROWS_PER_PROBLEM]),
        count=problem.count,
        examined=problem.examined,
        lines=f"{named} and {more:,} more" if more > 0 else named,
        rows=tuple(_show_row(example) for example in found[:MAX_ROWS_PER_PROBLEM]),
    )


def _is_fixable(code: str, found: Sequence[Example]) -> bool:
    """Whether `--fix` changes any of them: it leaves what may be meant."""
    fix = TEXT_FIXES.get(code, str)
    texts = (turn.content for example in found for turn in example.messages if turn.role != "tool")
    return code == DUPLICATE or any(fix(text) != text for text in texts)


def _show_row(example: Example) -> ShownRow:
    turns = example.turns
    prompt = (
        turns[0].content if len(turns) == 1 else "\n".join(f"{turn.role}: {turn.content}" for turn in turns)
    )
    return ShownRow(example.line, shorten(prompt, _TEXT_LIMIT), shorten(example.answer, _TEXT_LIMIT))


def _prompt_length(example: Example) -> int:
    return sum(len(turn.content) for turn in example.turns)


def _chart_lengths(of: str, lengths: Sequence[int]) -> Markup | None:
    chart = charts.histogram(f"chart-lengths-of-{of}", lengths, f"Length of the {of}", "characters")
    return None if chart is None else Markup(chart)


def _chart_answers(examples: Sequence[Example]) -> Markup | None:
    """The most frequent answers, where any is repeated often enough to say something."""
    frequent = Counter(example.answer.strip() for example in examples).most_common(_MAX_BARS)
    if not frequent or frequent[0][1] < max(2, len(examples) / 100):
        return None
    counts = [(_label(answer), number) for answer, number in frequent if number > 1]
    return Markup(charts.count_chart("chart-answers", counts, len(examples), "The most frequent answers"))


def _label(answer: str) -> str:
    line = " ".join(visible(answer[: 2 * _LABEL_LIMIT]).split()) or "(blanks)"
    return line if len(line) <= _LABEL_LIMIT else f"{line[: _LABEL_LIMIT - 1]}…"
