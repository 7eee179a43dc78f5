"""The page says what difference its test could have seen, and how large a test would see a smaller one."""

from __future__ import annotations

import pytest
from report_pages import Page
from report_samples import MANIFEST, UNTUNED, WIN, score

from tunewise.data.split import detectable_difference, examples_to_detect
from tunewise.records import Score
from tunewise.report.html import render_report
from tunewise.report.power import find_power
from tunewise.report.rivals import find_contest


def disagreeing(number: int) -> list[Score]:
    """233 examples, on so many of which only the tuned model is right."""
    return [
        score(name, f"e{index}", float(name == "fine-tuned" or index >= number))
        for name in ("few-shot", "fine-tuned")
        for index in range(233)
    ]


def test_it_follows_from_how_often_the_two_disagreed() -> None:
    power = find_power(WIN, disagreeing(70), find_contest(WIN, MANIFEST), MANIFEST)
    assert not power.is_planned
    assert (power.examples, power.groups, power.compared) == (233, 233, ("fine-tuned", "few-shot"))
    difference = detectable_difference(233, 70 / 233)
    assert difference is not None
    assert power.points == pytest.approx(100 * difference)
    clear, small = power.wants
    assert (clear.points, clear.more) == (10, examples_to_detect(0.10, 70 / 233) - 233)
    assert (small.points, small.more) == (3, examples_to_detect(0.03, 70 / 233) - 233)


def test_a_test_that_is_large_enough_asks_for_nothing_more() -> None:
    power = find_power(WIN, disagreeing(5), find_contest(WIN, MANIFEST), MANIFEST)
    assert power.wants[0].more == 0
    assert "To tell 10 points these are enough" in Page(render_report(WIN, disagreeing(5), MANIFEST)).text


def test_without_a_tuned_model_it_is_what_the_split_planned() -> None:
    power = find_power(UNTUNED, [score("few-shot", "a", 1.0)], find_contest(UNTUNED, MANIFEST), MANIFEST)
    assert (power.is_planned, power.points, power.wants) == (True, pytest.approx(8.3), ())


def test_too_few_examples_show_nothing() -> None:
    scores = [score(name, "a", 1.0) for name in ("few-shot", "fine-tuned")]
    text = Page(render_report(WIN, scores, {})).text
    assert "What this test could and could not see" in text
    assert find_power(UNTUNED, [], find_contest(UNTUNED, MANIFEST), {}).points is None
