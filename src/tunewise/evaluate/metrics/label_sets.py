"""Metrics of a whole set of answers. What they say of one example is whether it is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from tunewise.evaluate.metrics.reading import strip_fence
from tunewise.records import Score

Label = str


def macro_f1(predicted: Sequence[Label | None], expected: Sequence[Label]) -> float:
    """The mean, over the labels that are expected at all, of the F1 of each.

    So a rare label counts as much as a common one. None, or what is nowhere expected, is a wrong answer that
    costs the expected label its recall.
    """
    return fmean(_f1(label, predicted, expected) for label in sorted(set(expected)))


def list_labels(scores: Sequence[Score]) -> tuple[list[Label | None], list[Label]]:
    """The labels that were answered, and those that were expected; None where there is no answer."""
    predicted = [strip_fence(score.answer) if score.status == "answered" else None for score in scores]
    return predicted, [score.expected.strip() for score in scores]


def score_set(metric: str, scores: Sequence[Score]) -> float:
    """What a metric of `SET_METRICS` says of one approach's answers, of which there is at least one."""
    return SET_METRICS[metric](*list_labels(scores))


def _f1(label: Label, predicted: Sequence[Label | None], expected: Sequence[Label]) -> float:
    right = sum(given == wanted == label for given, wanted in zip(predicted, expected, strict=True))
    return 2 * right / (predicted.count(label) + expected.count(label))


SET_METRICS: dict[str, Callable[[Sequence[Label | None], Sequence[Label]], float]] = {"macro_f1": macro_f1}
