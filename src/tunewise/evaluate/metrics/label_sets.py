"""Metrics of a whole set of answers. What they say of one example is whether it is right."""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.evaluate.metrics.reading import strip_fence
from tunewise.records import Score

SET_METRICS = frozenset({"macro_f1"})


def list_labels(scores: Sequence[Score]) -> tuple[list[str | None], list[str]]:
    """The labels that were answered, and those that were expected; None where there is no answer."""
    predicted = [strip_fence(score.answer) if score.status == "answered" else None for score in scores]
    return predicted, [strip_fence(score.expected) for score in scores]


def score_set(scores: Sequence[Score]) -> float:
    """The macro-F1 of one approach's answers, of which there is at least one."""
    from tunewise.evaluate.stats.macro_f1 import macro_f1  # brings in scipy, which choosing metrics needs not

    return macro_f1(*list_labels(scores))
