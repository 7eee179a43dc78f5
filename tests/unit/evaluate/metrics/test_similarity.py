from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.evaluate.metrics.similarity import SIMILARITY, add_similarity
from tunewise.records import AnswerStatus, Score

VECTORS = {"cat": (1, 0), "kitten": (0.8, 0.6), "engine": (-1, 0)}


def score(answer: str, expected: str, status: AnswerStatus = "answered") -> Score:
    return Score("rival", answer, answer, status, answer, expected, {"exact_match": 0.0}, 1, 1, 1.0)


def test_answers_are_compared_by_the_angle_of_their_vectors_and_embedded_once() -> None:
    seen: list[str] = []

    def embed(texts: Sequence[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([VECTORS[text] for text in texts], dtype=np.float32)

    pairs = [("cat", "cat"), ("kitten", "cat"), ("engine", "cat")]
    scores = add_similarity([score(*pair) for pair in pairs], embed)
    assert [each.metrics[SIMILARITY] for each in scores] == pytest.approx([1.0, 0.8, 0.0])
    assert [each.metrics["exact_match"] for each in scores] == [0.0, 0.0, 0.0]
    assert sorted(seen) == ["cat", "engine", "kitten"]


def test_what_was_not_answered_is_no_text_to_compare() -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        raise AssertionError("there is nothing to embed")

    failed, missing = add_similarity([score("time-out", "cat", "failed"), score("", "cat", "missing")], embed)
    assert failed.metrics[SIMILARITY] is missing.metrics[SIMILARITY] is None
