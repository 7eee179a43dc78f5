"""The passages for an example: what its user typed is the query, and nothing of its answer is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewise.data.documents import Document
from tunewise.progress import Progress
from tunewise.records import Example
from tunewise.retrieval.embeddings import MODEL_NAME, Embedder
from tunewise.retrieval.index import Method, TextIndex
from tunewise.retrieval.passages import Passage, cut_passages

MAX_PASSAGES = 16
"""The most that an example can be given."""


class Retriever:
    """Passages of documents, found for examples. What was found for an example is remembered by its id."""

    def __init__(
        self,
        documents: Sequence[Document],
        embedder: Embedder | None,
        folder: Path,
        progress: Progress | None = None,
    ) -> None:
        """Cut and index the documents; their vectors are kept in `folder`. No `embedder`: words alone."""
        self.passages: tuple[Passage, ...] = cut_passages(documents)
        texts = [passage.text for passage in self.passages]
        self._index = TextIndex(texts, embedder, folder, progress, f"embedding {len(texts)} passages")
        self._found: dict[str, tuple[Passage, ...]] = {}

    @property
    def method(self) -> Method:
        """What passages are found by."""
        return self._index.method

    def describe(self) -> str:
        """One line for the terminal."""
        by = f"words (BM25) and meaning ({MODEL_NAME})" if self.method != "words" else "words alone (BM25)"
        return f"{len(self.passages)} passages, found by {by}"

    def prepare(self, examples: Sequence[Example]) -> None:
        """Find passages for all of these at once, which is quicker than one by one."""
        new = [example for example in examples if example.id not in self._found]
        for example, ranking in zip(
            new, self._index.search(list(map(query_of, new)), MAX_PASSAGES), strict=True
        ):
            self._found[example.id] = tuple(self.passages[position] for position in ranking)

    def find(self, example: Example, num_passages: int) -> tuple[Passage, ...]:
        """The best passages, best first; at most `MAX_PASSAGES`, fewer where no more match."""
        if example.id not in self._found:
            self.prepare([example])
        return self._found[example.id][:num_passages]


def query_of(example: Example) -> str:
    """All that the user typed, the last turn first: of long conversations the beginning counts least."""
    return "\n".join(turn.content for turn in reversed(example.turns) if turn.role == "user")
