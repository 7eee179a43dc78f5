"""The page of verdicts says what is recommended, when, and what to do then."""

from __future__ import annotations

from tunewise.decide.verdict import RULES, TITLES
from verdict_page import PAGE, render_page, render_rules


def test_page_is_made_from_the_rules_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == render_page(), "run python benchmarks/verdict_page.py"


def test_every_rule_has_a_row_of_its_own() -> None:
    rows = render_rules(RULES).splitlines()[2:]
    assert [row.split("|")[1].strip(" `") for row in rows] == [rule.code for rule in RULES]
    assert all(row.count("|") == 5 for row in rows)


def test_every_recommendation_can_be_given() -> None:
    assert {one for rule in RULES for one in rule.recommendations} == TITLES.keys()
