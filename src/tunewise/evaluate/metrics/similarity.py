"""How near an answer comes to the meaning of the expected one, by the caller's embedding model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tunewise.records import Score

SIMILARITY = "embedding_similarity"
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to vectors, (texts, dimensions), in their order; each of length 1."""


def add_similarity(scores: Sequence[Score], embed: Embed) -> tuple[Score, ...]:
    """The scores with the metric `SIMILARITY`: the cosine of answer and expected answer, not below 0.

    Undefined for what was not answered. All texts are embedded together, each different one once.
    """
    answered = [score for score in scores if score.status == "answered"]
    texts = list(dict.fromkeys(text for score in answered for text in (score.answer, score.expected)))
    vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}

    def similarity(score: Score) -> float | None:
        if score.status != "answered":
            return None
        cosine = float(vectors[score.answer] @ vectors[score.expected])
        return min(1.0, max(0.0, cosine))

    return tuple(replace(score, metrics={**score.metrics, SIMILARITY: similarity(score)}) for score in scores)
