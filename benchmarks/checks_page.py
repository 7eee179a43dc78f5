"""`docs/checks.md`, made from what each check says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import Check
from tunewise.store.files import write_text

PAGE = Path(__file__).parent.parent / "docs" / "checks.md"
INTRODUCTION = """\
# Checks

What `tunewise check DATA` looks for. An *error* makes training or measuring unsound, and the exit code 1; a
*warning* makes it worse; a *note* is worth knowing. The severity below is the worst that a check gives.
Made by `python benchmarks/checks_page.py` from the checks in `src/tunewise/data/checks`.
"""


def write_page() -> Path:
    """Write the page; returns its file."""
    write_text(PAGE, render_page())
    return PAGE


def render_page() -> str:
    """The page of all checks there are."""
    return "\n".join([INTRODUCTION, render_table(ALL_CHECKS)])


def render_table(checks: Iterable[Check]) -> str:
    """One row for each check, as a Markdown table."""
    lines = ["| code | severity | finds | why it matters |", "|---|---|---|---|"]
    for check in checks:
        lines.append(f"| `{check.code}` | {check.severity} | {check.finds} | {check.why} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(write_page())
