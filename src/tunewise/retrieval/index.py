"""Texts that can be searched by words (BM25) and by meaning (embeddings), the two rankings made one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from bm25s import BM25

from tunewise.data.content import text_units
from tunewise.progress import Progress, SilentProgress
from tunewise.retrieval.embeddings import Embedder, embed_once

RANK_CONSTANT = 60
"""From Cormack, Clarke and Büttcher 2009, who found that it hardly matters."""
DEPTH = 50
"""How many places of each ranking count."""

Ranking = list[int]
"""Positions of texts, the best first."""
Method = Literal["words and meaning", "words"]


class TextIndex:
    """An index over texts, in memory. The vectors, which take long to compute, are kept in a folder."""

    def __init__(
        self,
        texts: Sequence[str],
        embedder: Embedder | None,
        folder: Path,
        progress: Progress | None = None,
        label: str = "embedding",
    ) -> None:
        self._embedder = embedder
        units = [list(text_units(text)) for text in texts]
        self._bm25 = BM25() if any(units) else None
        if self._bm25 is not None:
            self._bm25.index(units, show_progress=False)
        if embedder is not None:
            self._vectors = embed_once(embedder, texts, folder, progress or SilentProgress(), label)

    @property
    def method(self) -> Method:
        """What texts are found by: words alone where there is no embedding model."""
        return "words" if self._embedder is None else "words and meaning"

    def search(self, queries: Sequence[str], num_results: int) -> list[Ranking]:
        """For each query the best texts, fewer where no more have anything in common with it."""
        rankings = [self.rank_by_words(queries)]
        if self._embedder is not None:
            rankings.append(self.rank_by_meaning(queries))
        return [fuse(of_query)[:num_results] for of_query in zip(*rankings, strict=True)]

    def rank_by_words(self, queries: Sequence[str]) -> list[Ranking]:
        """By BM25 (Robertson and Zaragoza 2009), without texts that share no word with the query."""
        return [self._rank_by_words(list(text_units(query))) for query in queries]

    def rank_by_meaning(self, queries: Sequence[str]) -> list[Ranking]:
        """By cosine; only where there is an embedding model."""
        assert self._embedder is not None
        return [_best(self._vectors @ vector, DEPTH) for vector in self._embedder.embed_queries(queries)]

    def _rank_by_words(self, units: list[str]) -> Ranking:
        if self._bm25 is None or not units:
            return []
        scores = self._bm25.get_scores(units)
        return [position for position in _best(scores, DEPTH) if scores[position] > 0]


def fuse(rankings: Sequence[Ranking]) -> Ranking:
    """One ranking of several, by the sum of 1 / (`RANK_CONSTANT` + rank), ranks counted from 1.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009), which needs no scores that compare. Of equals
    the one that an earlier ranking names comes first.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, position in enumerate(ranking, start=1):
            scores[position] = scores.get(position, 0.0) + 1 / (RANK_CONSTANT + rank)
    return sorted(scores, key=lambda position: -scores[position])


def _best(scores: np.ndarray, number: int) -> Ranking:
    """Positions of the highest scores; of equals the first."""
    return [int(position) for position in np.argsort(-scores, kind="stable")[:number]]
