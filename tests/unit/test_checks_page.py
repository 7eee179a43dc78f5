"""The page of checks says what is looked for."""

from __future__ import annotations

from checks_page import PAGE, render_page, render_table
from tunewise.data.checks import ALL_CHECKS


def test_page_is_made_from_the_checks_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == render_page(), "run python benchmarks/checks_page.py"


def test_every_check_has_a_row_of_its_own() -> None:
    rows = render_table(ALL_CHECKS).splitlines()[2:]
    assert len({row.split("|")[1] for row in rows}) == len(ALL_CHECKS)
    assert all(row.count("|") == 5 for row in rows)
