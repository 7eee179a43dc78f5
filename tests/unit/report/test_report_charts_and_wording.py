"""The report's drawings are well formed and to scale; its numbers and foreign text are written safely."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tunewise.report.charts import Bar, LossPoint, bar_chart, loss_chart
from tunewise.report.wording import count, duration, money, money_spent, percent, points, shorten, visible


def test_the_bar_chart_is_well_formed_and_to_scale() -> None:
    bars = [
        Bar("majority <&>", "a note", "floor", 0.02, 0.008, 0.047),
        Bar("fine-tuned", "", "trained", 0.92, 0.878, 0.948, emphasis=True),
        Bar("odd\x00", "", "prompt", float("nan"), -1.0, 7.0),
    ]
    svg = ET.fromstring(bar_chart(bars, "Score by approach"))
    assert [child.tag for child in svg[:2]] == ["title", "desc"]
    assert "fine-tuned 92.0% (87.8–94.8%)" in (svg[1].text or "")
    widths = [rect.get("width") for rect in svg.iter("rect") if rect.get("class") == "bar"]
    assert widths == ["2%", "92%", "0%"]
    rows = [group for group in svg.iter("g") if "row" in (group.get("class") or "")]
    whiskers = [next(line for line in row.iter("line") if line.get("class") == "whisker") for row in rows]
    assert [(line.get("x1"), line.get("x2")) for line in whiskers] == [
        ("0.8%", "4.7%"),
        ("87.8%", "94.8%"),
        ("0%", "100%"),
    ]
    assert [row.get("class") for row in rows] == ["row floor", "row trained emphasis", "row prompt"]
    ticks = [text.text for text in svg.iter("text") if text.get("class") == "tick"]
    assert ticks == ["0%", "25%", "50%", "75%", "100%"]


def test_the_loss_chart_leaves_out_what_is_no_loss() -> None:
    points = [
        LossPoint(1, 2.0, None),
        LossPoint(2, float("nan"), 1.0),
        LossPoint(3, 1.0, 0.5),
        LossPoint(4, -1, None),
    ]
    source = loss_chart(points, best_step=3)
    assert source is not None
    svg = ET.fromstring(source)
    curves = {line.get("class"): line.get("points") for line in svg.iter("polyline")}
    assert curves == {"curve train": "0,0 100,50", "curve validation": "50,50 100,75"}
    assert "The weights kept are those of step 3." in (svg[1].text or "")


@pytest.mark.parametrize(
    "points", [[], [LossPoint(1, 2.0, 3.0)], [LossPoint(1, None, None), LossPoint(2, None, None)]]
)
def test_too_few_losses_give_no_chart(points: list[LossPoint]) -> None:
    assert loss_chart(points, best_step=None) is None


def test_long_training_is_thinned_and_keeps_its_last_loss() -> None:
    source = loss_chart([LossPoint(step, 1.0 + 1.0 / step, None) for step in range(1, 5001)], None)
    assert source is not None
    (curve, _) = ET.fromstring(source).iter("polyline")
    places = (curve.get("points") or "").split()
    assert 300 < len(places) <= 400
    assert places[-1].startswith("100,")


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (0, "£0"),
        (0.00002, "less than £0.0001"),
        (0.0021, "£0.0021"),
        (0.0804, "£0.08"),
        (0.0996, "£0.10"),
        (0.5, "£0.50"),
        (-0.0334, "−£0.033"),
        (1234.5, "£1,234.50"),
        (float("nan"), "—"),
        (None, "—"),
    ],
)
def test_money_has_the_digits_that_matter(amount: float | None, written: str) -> None:
    assert money(amount, "GBP") == written


def test_currencies_are_written_as_people_write_them() -> None:
    assert [money(2, code) for code in ("EUR", "USD", "CHF")] == ["€2.00", "$2.00", "2.00 CHF"]
    assert [money_spent(amount, "GBP") for amount in (0.0, 0.0099, 0.0134, 12)] == [
        "£0",
        "less than £0.01",
        "£0.01",
        "£12.00",
    ]


def test_numbers_are_written_in_words_and_signs() -> None:
    assert [duration(seconds) for seconds in (0.4, 42, 301.2, 3725)] == [
        "0.4 s",
        "42 s",
        "5 min 1 s",
        "1 h 2 min",
    ]
    assert [count(1, "call"), count(1800, "call"), count(None)] == ["1 call", "1,800 calls", "—"]
    assert [points(0.69), points(-0.004), percent(float("inf"))] == ["+69.0", "−0.4", "—"]


def test_shown_characters_are_safe_and_ordinary_ones_untouched() -> None:
    ordinary = "naïve zł مرحبا 👩\u200d🚀 \u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\n\tend"
    assert visible(ordinary) == ordinary
    assert visible("a\x00b\u202ec\ud800\r\n") == "a␀b⟨U+202E⟩c⟨U+D800⟩\n"
    assert shorten("x" * 12345, 100) == "x" * 100 + "… (12,245 more characters)"
