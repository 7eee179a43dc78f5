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
# Between these marks `benchmarks/planted_defects.py` writes what it measured.
BEGIN, END = "<!-- planted defects: begin -->", "<!-- planted defects: end -->"


def write_page() -> Path:
    """Write the page; returns its file."""
    write_text(PAGE, render_page())
    return PAGE


def render_page() -> str:
    """The page of all checks there are, and what was measured of them as it stands there."""
    page = PAGE.read_text("utf-8") if PAGE.is_file() else ""
    measured = page.partition(BEGIN)[2].partition(END)[0].strip("\n")
    section = ["## Planted defects\n", BEGIN, *filter(None, [measured]), END]
    return "\n".join([INTRODUCTION, render_table(ALL_CHECKS), *section, ""])


def render_table(checks: Iterable[Check]) -> str:
    """One row for each check, as a Markdown table."""
    lines = ["| code | severity | finds | why it matters |", "|---|---|---|---|"]
    for check in checks:
        lines.append(f"| `{check.code}` | {check.severity} | {check.finds} | {check.why} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(write_page())
