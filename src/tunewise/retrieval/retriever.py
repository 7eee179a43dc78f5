"""Passages, or training examples, for an example: found by what its user typed, never by its answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from tunewise.data.documents import Document
from tunewise.progress import Progress
from tunewise.records import Example
from tunewise.retrieval.embeddings import MODEL_NAME, Embedder
from tunewise.retrieval.index import Method, TextIndex
from tunewise.retrieval.passages import Passage, cut_passages

MAX_RESULTS = 16
"""The most that is found for an example."""
MAX_EXAMPLES = 10_000
"""Of more training examples a sample is indexed: as many take a few minutes to embed."""

Item = TypeVar("Item")


class Retriever(Generic[Item]):
    """Finds items by their texts, for examples. What was found for an example is remembered by its id."""

    def __init__(
        self,
        items: Sequence[Item],
        texts: Sequence[str],
        noun: str,
        embedder: Embedder | None,
        folder: Path,
        progress: Progress | None = None,
    ) -> None:
        """One text for each item, indexed; vectors are kept in `folder`. Without `embedder`: words alone."""
        self.items = tuple(items)
        self._noun = noun
        self._index = TextIndex(texts, embedder, folder, progress, f"embedding {len(texts)} {noun}")
        self._found: dict[str, tuple[Item, ...]] = {}

    @property
    def method(self) -> Method:
        """What items are found by."""
        return self._index.method

    def describe(self) -> str:
        """One line for the terminal."""
        by = "words alone (BM25)" if self.method == "words" else f"words (BM25) and meaning ({MODEL_NAME})"
        return f"{len(self.items)} {self._noun}, found by {by}"

    def prepare(self, examples: Sequence[Example]) -> None:
        """Search for all of these at once, which is quicker than one by one."""
        new = [example for example in examples if example.id not in self._found]
        rankings = self._index.search([query_of(example) for example in new], MAX_RESULTS)
        for example, ranking in zip(new, rankings, strict=True):
            self._found[example.id] = tuple(self.items[position] for position in ranking)

    def find(self, example: Example, number: int) -> tuple[Item, ...]:
        """The best items, best first; at most `MAX_RESULTS`, and fewer where no more match."""
        if example.id not in self._found:
            self.prepare([example])
        return self._found[example.id][:number]


def retrieve_passages(
    documents: Sequence[Document], embedder: Embedder | None, folder: Path, progress: Progress | None = None
) -> Retriever[Passage]:
    """Of the passages of these documents, and of nothing else."""
    passages = cut_passages(documents)
    texts = [passage.text for passage in passages]
    return Retriever(passages, texts, "passages", embedder, folder, progress)


def retrieve_examples(
    train: Sequence[Example],
    seed: int,
    embedder: Embedder | None,
    folder: Path,
    progress: Progress | None = None,
) -> Retriever[Example]:
    """Of training examples, by what their users typed; `seed` draws `MAX_EXAMPLES` where there are more."""
    if len(train) > MAX_EXAMPLES:
        train = random.Random(seed).sample(train, MAX_EXAMPLES)
    return Retriever(train, list(map(query_of, train)), "training examples", embedder, folder, progress)


def query_of(example: Example) -> str:
    """All that the user typed, the last turn first: of long conversations the beginning counts least.

    A system message that is a part of the input is one of its turns.
    """
    asked = ("user", "system")
    return "\n".join(turn.content for turn in reversed(example.turns) if turn.role in asked)
