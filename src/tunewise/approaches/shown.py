"""What prompts may show beside an instruction: training examples, and passages of the user's documents."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.approaches.base import Fits
from tunewise.approaches.rag import fits_engine
from tunewise.data.documents import read_documents
from tunewise.engines.base import Engine
from tunewise.progress import Progress
from tunewise.records import Example
from tunewise.retrieval.embeddings import find_embedder
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import Retriever, retrieve_examples, retrieve_passages


@dataclass(frozen=True, slots=True)
class Shown:
    """What the prompts of a run are made of, beside their setup."""

    model: str
    """The id of the base."""
    train: Sequence[Example]
    seed: int
    fits: Fits
    """Whether a prompt leaves room for an answer."""
    near: Retriever[Example] | None = None
    """Finds training examples like an input; None where no rival shows any."""
    passages: Retriever[Passage] | None = None
    """Finds passages of the documents; None where there are none."""


def gather(
    approaches: Collection[str],
    train: Sequence[Example],
    docs: Path | None,
    encoding: str | None,
    engine: Engine,
    max_tokens: int,
    seed: int,
    cache: Path,
    progress: Progress,
) -> Shown:
    """Read the documents in `docs` and index what `approaches` look things up in.

    `encoding` is that of documents which are no UTF-8, `max_tokens` is how long answers may be. Vectors are
    kept in `cache`. Raises `DataError` for documents that cannot be read.
    """
    shows_near = "few-shot-nearest" in approaches
    documents = read_documents(docs, encoding) if docs is not None else None
    embedder = find_embedder(progress) if shows_near or documents else None
    near = retrieve_examples(train, seed, embedder, cache, progress) if shows_near else None
    passages = None
    if documents is not None:
        progress.say(documents.describe())
        passages = retrieve_passages(documents.documents, embedder, cache, progress)
    for found in (near, passages):
        if found is not None:
            progress.say(found.describe())
    return Shown(engine.base_id, train, seed, fits_engine(engine, engine.base_id, max_tokens), near, passages)
