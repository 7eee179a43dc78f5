"""The report's drawings as SVG: geometry only. Colours come from the page's style sheet, by class.

Horizontal places are percentages of the drawing's own width, so one drawing serves a phone, a screen and
paper without its letters shrinking. ElementTree writes the markup: well formed and escaped by construction.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tunewise.report.wording import interval, percent, visible

_ROW_PX = 54
_BAR_TOP_PX = 24
_BAR_PX = 14
_TICKS = (0, 25, 50, 75, 100)
_CURVE_PX = 220
_CURVE_TOP_PX = 20
_CURVE_BOTTOM_PX = 24
_MAX_POINTS = 400
_HISTOGRAM_PX = 150
_BINS = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the bar chart. Score and interval are shares in 0..1; `kind` becomes a CSS class."""

    name: str
    note: str
    kind: str
    score: float
    low: float
    high: float
    emphasis: bool = False


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The loss at one step; a validation loss is not measured at every step."""

    step: float
    train: float | None
    validation: float | None


def bar_chart(bars: Sequence[Bar], title: str) -> str:
    """Horizontal bars with whiskers on an axis from 0 to 100%, each labelled above with its numbers."""
    height = _ROW_PX * len(bars) + 26
    words = "; ".join(f"{bar.name} {percent(bar.score)} ({interval(bar.low, bar.high)})" for bar in bars)
    svg = _drawing("chart-scores", height, title, f"95% intervals in brackets. {words}.")
    _add_hatch(svg)
    for index, bar in enumerate(bars):
        _add_bar(svg, bar, _ROW_PX * index)
    for tick in _TICKS:
        anchor = {0: "start", 100: "end"}.get(tick, "middle")
        _text(svg, f"{tick}%", height - 8, f"{tick}%", "tick", anchor)
    return ET.tostring(svg, encoding="unicode")


def _add_bar(svg: ET.Element, bar: Bar, top_px: int) -> None:
    row = ET.SubElement(svg, "g", {"class": f"row {bar.kind}{' emphasis' if bar.emphasis else ''}"})
    label = _text(row, "0", top_px + 16, bar.name, "name", "start")
    if bar.note:
        note = ET.SubElement(label, "tspan", {"class": "about", "dx": "8"})
        note.text = visible(bar.note)
    numbers = _text(row, "100%", top_px + 16, percent(bar.score), "value", "end")
    spread = ET.SubElement(numbers, "tspan", {"class": "spread", "dx": "6"})
    spread.text = interval(bar.low, bar.high)
    box = {"x": "0", "y": str(top_px + _BAR_TOP_PX), "height": str(_BAR_PX), "rx": "2"}
    ET.SubElement(row, "rect", {**box, "class": "track", "width": "100%"})
    bottom_px = top_px + _BAR_TOP_PX + _BAR_PX
    for (
        tick
    ) in _TICKS:  # within the bar's own band: a line through the labels would be one more thing to read
        _line(row, f"{tick}%", top_px + _BAR_TOP_PX, f"{tick}%", bottom_px, "axis" if tick == 0 else "grid")
    ET.SubElement(row, "rect", {**box, "class": "bar", "width": f"{_share(bar.score)}%"})
    low, high = f"{_share(bar.low)}%", f"{_share(bar.high)}%"
    middle, cap = top_px + _BAR_TOP_PX + _BAR_PX / 2, 4
    _line(row, low, middle, high, middle, "whisker")
    _line(row, low, middle - cap, low, middle + cap, "whisker")
    _line(row, high, middle - cap, high, middle + cap, "whisker")


def _add_hatch(svg: ET.Element) -> None:
    size = {"width": "6", "height": "6", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    pattern = ET.SubElement(ET.SubElement(svg, "defs"), "pattern", {"id": "floor-hatch", **size})
    _line(pattern, "0", 0, "0", 6, "hatch")


def count_chart(name: str, counts: Sequence[tuple[str, int]], total: int, title: str) -> str:
    """Horizontal bars, each labelled above with its number and its share of `total`; `name` is the id."""
    row_px, bar_px = 42, 10
    words = "; ".join(f"{label}: {number:,}" for label, number in counts)
    svg = _drawing(name, row_px * len(counts), title, words)
    for index, (label, number) in enumerate(counts):
        top_px, share = row_px * index, number / total
        row = ET.SubElement(svg, "g", {"class": "row trained"})
        _text(row, "0", top_px + 15, label, "name", "start")
        numbers = _text(row, "100%", top_px + 15, f"{number:,}", "value", "end")
        ET.SubElement(numbers, "tspan", {"class": "spread", "dx": "6"}).text = percent(share)
        box = {"x": "0", "y": str(top_px + 22), "height": str(bar_px), "rx": "2"}
        ET.SubElement(row, "rect", {**box, "class": "track", "width": "100%"})
        ET.SubElement(row, "rect", {**box, "class": "bar", "width": f"{_share(share)}%"})
    return ET.tostring(svg, encoding="unicode")


def histogram(name: str, values: Sequence[int], title: str, unit: str) -> str | None:
    """How many of `values` (not negative) lie where; None without any. `name` is the id.

    The last bar also holds the hundredth that is longest, where it lies far out.
    """
    if not values:
        return None
    ordered = sorted(values)
    largest, nearly_all = ordered[-1], ordered[math.ceil(0.99 * len(ordered)) - 1]
    shown = largest if largest <= 2 * nearly_all else nearly_all
    width = shown // _BINS + 1
    heights = [0] * (shown // width + 1)
    for value in ordered:
        heights[min(value, shown) // width] += 1
    words = f"Half have up to {ordered[(len(ordered) - 1) // 2]:,} {unit}; the longest has {largest:,}."
    svg = _drawing(name, _HISTOGRAM_PX, title, words)
    base_px, room_px = _HISTOGRAM_PX - 22, _HISTOGRAM_PX - 44
    step = 100 / len(heights)
    for index, number in enumerate(heights):
        height_px = room_px * number / max(heights)
        place = {"x": f"{_number(index * step)}%", "width": f"{_number(step * 0.92)}%", "rx": "1.5"}
        size = {"y": _number(base_px - height_px), "height": _number(height_px), "class": "bin"}
        ET.SubElement(svg, "rect", {**place, **size})
    _line(svg, "0", base_px, "100%", base_px, "axis")
    _text(svg, "0", 13, f"{max(heights):,} rows", "tick", "start")
    _text(svg, "0", _HISTOGRAM_PX - 5, "0", "tick", "start")
    last = f"{largest:,}" if shown == largest else f"{shown:,} and more"
    _text(svg, "100%", _HISTOGRAM_PX - 5, f"{last} {unit}", "tick", "end")
    return ET.tostring(svg, encoding="unicode")


def loss_chart(points: Sequence[LossPoint], best_step: float | None) -> str | None:
    """Training and validation loss by step; None when there are not two steps to join by a line."""
    series = {
        "train": _usable((point.step, point.train) for point in points),
        "validation": _usable((point.step, point.validation) for point in points),
    }
    steps = {step for losses in series.values() for step, _ in losses}
    if len(steps) < 2:
        return None
    first, last = min(steps), max(steps)
    top = _round_up(max(loss for losses in series.values() for _, loss in losses))
    words = _loss_words(series["train"], series["validation"], best_step)
    svg = _drawing("chart-loss", _CURVE_PX, "Loss during training", words)
    for fraction in (0.0, 0.5, 1.0):
        y = _loss_y(fraction)
        _line(svg, "0", y, "100%", y, "grid" if fraction else "axis")
        if fraction:
            _text(svg, "0", y - 5, f"{top * fraction:.3g}", "tick", "start")
    _text(svg, "0", _CURVE_PX - 6, f"step {first:,.0f}", "tick", "start")
    _text(svg, "100%", _CURVE_PX - 6, f"step {last:,.0f}", "tick", "end")
    if best_step is not None and first <= best_step <= last:
        x = f"{_number(100 * (best_step - first) / (last - first))}%"
        _line(svg, x, _loss_y(1), x, _loss_y(0), "best")
    for style, losses in series.items():
        places = [(100 * (step - first) / (last - first), loss / top) for step, loss in losses]
        _add_curve(svg, places, style)
    return ET.tostring(svg, encoding="unicode")


def _usable(losses: Iterable[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """The measured losses, thinned evenly where there are more than a screen can show; the last one stays."""
    measured = [
        (step, loss)
        for step, loss in losses
        if loss is not None and math.isfinite(loss) and loss >= 0 and math.isfinite(step)
    ]
    stride = math.ceil(len(measured) / _MAX_POINTS) or 1
    return measured[::-1][::stride][::-1]


def _add_curve(svg: ET.Element, places: Sequence[tuple[float, float]], style: str) -> None:
    # A drawing inside the drawing stretches the line to any width; its stroke is kept from stretching along.
    box_px = _CURVE_PX - _CURVE_TOP_PX - _CURVE_BOTTOM_PX
    frame = {"x": "0", "y": str(_CURVE_TOP_PX), "width": "100%", "height": str(box_px), "overflow": "visible"}
    inner = ET.SubElement(svg, "svg", {**frame, "viewBox": "0 0 100 100", "preserveAspectRatio": "none"})
    path = " ".join(f"{_number(x)},{_number(100 * (1 - y))}" for x, y in places)
    line = {"class": f"curve {style}", "points": path, "vector-effect": "non-scaling-stroke"}
    ET.SubElement(inner, "polyline", line)
    if style == "validation":
        for x, y in places:
            dot = {"cx": f"{_number(x)}%", "cy": _number(_loss_y(y)), "r": "3.5", "class": "dot"}
            ET.SubElement(svg, "circle", dot)


def _loss_y(fraction: float) -> float:
    return _CURVE_TOP_PX + (1 - fraction) * (_CURVE_PX - _CURVE_TOP_PX - _CURVE_BOTTOM_PX)


def _loss_words(
    train: Sequence[tuple[float, float]], validation: Sequence[tuple[float, float]], best_step: float | None
) -> str:
    parts = [
        f"{name} loss goes from {losses[0][1]:.3g} to {losses[-1][1]:.3g}."
        for name, losses in (("Training", train), ("Validation", validation))
        if losses
    ]
    if best_step is not None:
        parts.append(f"The weights kept are those of step {best_step:,.0f}.")
    return " ".join(parts)


def _round_up(value: float) -> float:
    """The next number that reads well on an axis: 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(
        next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.9999)
    )


def _drawing(name: str, height_px: int, title: str, words: str) -> ET.Element:
    labels = f"{name}-title {name}-desc"
    size = {"width": "100%", "height": str(height_px), "overflow": "visible"}
    svg = ET.Element("svg", {"class": name, "role": "img", "aria-labelledby": labels, **size})
    ET.SubElement(svg, "title", {"id": f"{name}-title"}).text = visible(title)
    ET.SubElement(svg, "desc", {"id": f"{name}-desc"}).text = visible(words)
    return svg


def _line(parent: ET.Element, x1: str, y1: float, x2: str, y2: float, style: str) -> None:
    places = {"x1": x1, "y1": _number(y1), "x2": x2, "y2": _number(y2)}
    ET.SubElement(parent, "line", {"class": style, **places})


def _text(parent: ET.Element, x: str, y: float, words: str, style: str, anchor: str) -> ET.Element:
    place = {"x": x, "y": _number(y), "class": style, "text-anchor": anchor}
    element = ET.SubElement(parent, "text", place)
    element.text = visible(words)
    return element


def _share(value: float) -> str:
    """A share in 0..1 as a percentage within the drawing, whatever it was given."""
    return _number(100 * min(1.0, max(0.0, value))) if math.isfinite(value) else "0"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
