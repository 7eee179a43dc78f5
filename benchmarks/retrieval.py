"""Whether retrieval finds the passages that hold the answers: by words, by meaning and by both.

*Hit* is the share of an answer's phrases that stand in the passages found for its question, on average over
1,000 examples; the peer is as many passages drawn at random, so that the ratio says what finding them is
worth. Of *by both* the peer is BM25 alone, which it has to beat to be worth an embedding model.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import TypeVar

from results_file import Figure, write_results
from tunewise.data.dataset import read_dataset
from tunewise.data.documents import read_documents
from tunewise.records import Example
from tunewise.retrieval.embeddings import open_embedder
from tunewise.retrieval.hits import held_share, sought_phrases
from tunewise.retrieval.index import Ranking, TextIndex, fuse
from tunewise.retrieval.passages import Passage, cut_passages
from tunewise.retrieval.retriever import query_of

NUM_EXAMPLES = 1_000
NUMBERS_OF_PASSAGES = (1, 2, 4)
LEAST_RATIO = 1.0

Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a file of examples")
    parser.add_argument("docs", type=Path, help="the documents that hold their answers")
    arguments = parser.parse_args()
    figures = measure(arguments.data, arguments.docs)
    for figure in figures:
        print(f"{figure.figure}: {figure.value} {figure.unit}, peer {figure.peer}", flush=True)
    print(f"written to {write_results('retrieval', figures)}")


def measure(data: Path, docs: Path) -> list[Figure]:
    examples = [example for example in read_dataset(data).examples if sought_phrases(example)]
    asked = random.Random(0).sample(examples, min(NUM_EXAMPLES, len(examples)))
    queries = [query_of(example) for example in asked]
    passages = cut_passages(read_documents(docs).documents)
    texts = [passage.text for passage in passages]
    embedder = open_embedder()
    with tempfile.TemporaryDirectory() as folder:
        _, seconds_by_words = timed(lambda: TextIndex(texts, None, Path(folder)))
        index, seconds_by_both = timed(lambda: TextIndex(texts, embedder, Path(folder)))
        _, seconds_again = timed(lambda: TextIndex(texts, embedder, Path(folder)))
    by_words = index.rank_by_words(queries)
    by_meaning, seconds_asked = timed(lambda: index.rank_by_meaning(queries))
    by_both = [fuse(rankings) for rankings in zip(by_words, by_meaning, strict=True)]
    figures = []
    for number in NUMBERS_OF_PASSAGES:
        by_chance = chance(asked, passages, number)
        hits = [hit(asked, passages, rankings, number) for rankings in (by_words, by_meaning, by_both)]
        for name, value in zip(("words", "meaning"), hits[:2], strict=True):
            figures.append(of_peer(f"hit@{number} by {name}", value, by_chance, None, ""))
        figures.append(
            of_peer(f"hit@{number} by both", hits[2], hits[0], LEAST_RATIO, f"chance gives {by_chance:.3f}")
        )
    sizes = f"{len(passages)} passages of {mean(len(text.split()) for text in texts):.0f} words"
    for name, seconds, limit in (
        ("index by words", seconds_by_words, f"{sizes}; made anew each time"),
        ("index by both, the first time", seconds_by_both, "the embedding model on this processor"),
        ("index by both, once embedded", seconds_again, "the index by words"),
        ("embedding 1,000 questions", seconds_asked * 1000 / len(queries), "the embedding model"),
    ):
        figures.append(Figure(name, round(seconds, 2), "s of processor", None, None, None, None, limit))
    return figures


def hit(
    asked: Sequence[Example], passages: Sequence[Passage], rankings: Sequence[Ranking], number: int
) -> float:
    found = ([passages[position] for position in ranking[:number]] for ranking in rankings)
    return mean(held_share(each, sought_phrases(row)) for row, each in zip(asked, found, strict=True))


def chance(asked: Sequence[Example], passages: Sequence[Passage], number: int) -> float:
    dice = random.Random(number)
    return mean(held_share(dice.sample(passages, number), sought_phrases(row)) for row in asked)


def of_peer(figure: str, value: float, peer: float, target: float | None, limited_by: str) -> Figure:
    ratio = value / peer
    holds = None if target is None else ratio >= target
    return Figure(figure, round(value, 3), "of 1", round(peer, 3), round(ratio, 2), target, holds, limited_by)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


if __name__ == "__main__":
    main()
