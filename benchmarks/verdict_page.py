"""`docs/verdict.md`, made from what each rule of the verdict says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tunewise.decide.guards import GUARDS
from tunewise.decide.reasons import OBSERVATIONS_ON_A_WIN, OBSERVATIONS_ON_NO_WIN, Observation
from tunewise.decide.rules.base import Rule
from tunewise.decide.verdict import MAX_REASONS, RULES
from tunewise.store.files import write_text

PAGE = Path(__file__).parent.parent / "docs" / "verdict.md"
INTRODUCTION = f"""\
# Verdicts

How measurements become a recommendation. The rules are asked from the top; the first whose condition holds
decides, and its code is that of the verdict's first reason. A rule that needs something that was not measured
never holds, and `not_measured` in the evidence of that reason lists it. *Beats* means that the 95% interval
of the paired difference is above zero, and that its test agrees: chance alone would give as much in 2.5% of
cases at most. *Guessing* is the best of the floors, which need no model.
No run measures a learning curve or forgetting yet, so what needs one of them (`still-learning`,
`more-data-would-help`, `forgets`) cannot hold yet.
The *guards* are the rules from `{GUARDS[0].code}` to `{GUARDS[-1].code}`: they stop trained models that win.

`tunewise decide RUN` asks the rules again about a finished run.
Made by `python benchmarks/verdict_page.py` from the rules in `src/tunewise/decide`.
"""
REASONS = f"""\
## Other reasons

What a verdict says beside its first reason, most urgent first, {MAX_REASONS} in all. They decide nothing.
"""


def write_page() -> Path:
    """Write the page; returns its file."""
    write_text(PAGE, render_page())
    return PAGE


def render_page() -> str:
    """The page of all rules and reasons there are."""
    observations = {one.code: one for one in (*OBSERVATIONS_ON_A_WIN, *OBSERVATIONS_ON_NO_WIN)}
    return "\n".join([INTRODUCTION, render_rules(RULES), REASONS, render_reasons(observations.values())])


def render_rules(rules: Iterable[Rule]) -> str:
    """One row for each rule, as a Markdown table."""
    lines = ["| code | recommendation | when | what to do |", "|---|---|---|---|"]
    for rule in rules:
        recommendations = " or ".join(f"`{one}`" for one in rule.recommendations)
        lines.append(f"| `{rule.code}` | {recommendations} | {rule.when} | {rule.advice} |")
    return "\n".join([*lines, ""])


def render_reasons(observations: Iterable[Observation]) -> str:
    """One row for each reason, as a Markdown table."""
    rows = [f"| `{one.code}` | {one.when} |" for one in observations]
    return "\n".join(["| code | when |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    print(write_page())
