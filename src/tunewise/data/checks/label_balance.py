"""Labels that are too frequent, too rare, or too few to learn from."""

from __future__ import annotations

from collections.abc import Iterator

from rapidfuzz import process

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.labels import Labels, infer_labels

# From here on a model that always gives this answer is right three times in four, and looks trained.
MAX_MAJORITY_SHARE = 0.75
# Fewer, and the test set, at most a quarter of the rows, holds one or two of them or none.
MIN_EXAMPLES_PER_LABEL = 10
# Below this similarity, from 0 to 100, another label is not what was meant.
MISSPELT_SIMILARITY = 80
_SHOWN_LABELS = 5


class Imbalance:
    """One answer makes up most rows."""

    code = "imbalance"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = f"one label that {MAX_MAJORITY_SHARE:.0%} of the rows or more have"
    why = "Always giving that answer is nearly right, so a model may learn only that, and scores look good."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Of the file as a whole."""
        labels = _labels_of(data)
        if labels is None:
            return
        label, share = labels.majority
        if share >= MAX_MAJORITY_SHARE:
            yield Problem(
                self.code,
                self.severity,
                (),
                f"{share:.1%} of the answers are {label!r}, so always saying that is right as often: add "
                "examples of the others, and judge scores against this share",
                label,
            )


class RareLabels:
    """Answers that occur once among labels."""

    code = "rare-label"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "a label that a single row has"
    why = "It is a slip that teaches a wrong answer, or a label that cannot be both learned and tested."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """With the label that was probably meant, where one is close."""
        labels = _labels_of(data)
        if labels is None:
            return
        rare = [e for e in data.examples if labels.counts[e.answer.strip()] == 1]
        if not rare:
            return
        first = rare[0]
        label = first.answer.strip()
        yield Problem(
            self.code,
            self.severity,
            tuple(example.line for example in rare),
            f"line {first.line} alone answers {label!r}{_ask_what_was_meant(label, labels)}: mend it, or add "
            "examples of it",
            label,
        )


class TooFewPerLabel:
    """Labels with a handful of rows."""

    code = "too-few-per-label"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = f"labels with more than one example but fewer than {MIN_EXAMPLES_PER_LABEL}"
    why = "Some are needed to learn a label, others to choose and to test with; so few cannot be split."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """All rows of such labels."""
        labels = _labels_of(data)
        if labels is None:
            return
        few = {label: n for label, n in labels.counts.items() if 1 < n < MIN_EXAMPLES_PER_LABEL}
        if not few:
            return
        named = ", ".join(
            f"{label!r} {count}{_ask_what_was_meant(label, labels)}"
            for label, count in list(few.items())[:_SHOWN_LABELS]
        )
        more = f" and {len(few) - _SHOWN_LABELS} more" if len(few) > _SHOWN_LABELS else ""
        yield Problem(
            self.code,
            self.severity,
            tuple(example.line for example in data.examples if example.answer.strip() in few),
            f"few examples of {named}{more}: mend what is misspelt, and add examples of the others, to "
            f"{MIN_EXAMPLES_PER_LABEL} of each and better 50",
            next(iter(few)),
        )


def _ask_what_was_meant(label: str, labels: Labels) -> str:
    """The most similar label that has enough rows, as a question; "" where none is close."""
    known = [
        answer
        for answer, count in labels.counts.items()
        if count >= MIN_EXAMPLES_PER_LABEL and count > labels.counts[label]
    ]
    near = process.extractOne(label, known, score_cutoff=MISSPELT_SIMILARITY)
    return f" (is it {near[0]!r}?)" if near else ""


def _labels_of(data: CheckedData) -> Labels | None:
    return infer_labels(example.answer for example in data.examples)
