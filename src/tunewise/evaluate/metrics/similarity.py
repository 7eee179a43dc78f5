"""How near an answer comes to the meaning of the expected one, by an embedding model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from tunewise.records import Example

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIMILARITY = "embedding_similarity"
Embed = Callable[[Sequence[str]], "npt.NDArray[np.float32]"]
"""Texts to vectors, (texts, dimensions), in their order; each of length 1."""


class EmbeddingSimilarity:
    """The cosine of an answer and the expected one, not below 0. None where nothing is expected.

    Equal texts are 1 and an empty answer is 0, whatever the model makes of them.
    """

    def __init__(self, embed: Embed) -> None:
        # Expected answers come back with every rival, and many rivals answer alike.
        self._vector = lru_cache(maxsize=10_000)(lambda text: embed([text])[0])

    def __call__(self, answer: str, example: Example) -> float | None:
        """As said above."""
        given, wanted = answer.strip(), example.answer.strip()
        if not wanted:
            return None
        if not given or given == wanted:
            return float(given == wanted)
        return min(1.0, max(0.0, float(self._vector(given) @ self._vector(wanted))))


def open_similarity() -> EmbeddingSimilarity:
    """By the embedding model of the installed wheel. Raises `ModelUnavailableError`: how to install it."""
    from tunewise.progress import SilentProgress
    from tunewise.retrieval.embeddings import open_embedder  # brings in numpy and, at its first text, torch

    embedder = open_embedder()
    return EmbeddingSimilarity(lambda texts: embedder.embed(texts, SilentProgress(), ""))
