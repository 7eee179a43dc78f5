"""Documents are cut into passages where they have breaks, and each passage says where it comes from."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tunewise.data.documents import Document
from tunewise.retrieval.passages import Passage, cut_passages


def texts(text: str, **sizes: int) -> list[str]:
    return [passage.text for passage in cut_passages([Document(text, "a")], **sizes)]


def test_a_short_document_is_one_passage_and_several_are_never_mixed():
    documents = [Document("One.", "a.jsonl, line 1"), Document("Two.", "a.jsonl, line 2")]
    assert cut_passages(documents) == (Passage("One.", "a.jsonl, line 1"), Passage("Two.", "a.jsonl, line 2"))


def test_what_stands_in_several_places_is_kept_once():
    footer = [Document("All rights reserved.", "page 1"), Document("All rights reserved.", "page 2")]
    assert cut_passages(footer) == (Passage("All rights reserved.", "page 1"),)


def test_each_section_is_a_passage_under_all_of_its_headings():
    guide = "Before.\n# Guide\n## Sizes\nUp to 7 mm.\n## Colours ##\nRed.\n# Contact"
    assert texts(guide) == ["Before.", "Guide > Sizes\nUp to 7 mm.", "Guide > Colours\nRed.", "Contact"]


def test_what_looks_like_a_heading_in_code_is_none():
    code = "# Build\n```\n# a comment\nmake\n```"
    assert texts(code) == ["Build\n```\n# a comment\nmake\n```"]


def test_code_within_a_line_opens_no_block_of_code():
    assert texts("# Build\n```make```\n# Test\nmake test") == ["Build\n```make```", "Test\nmake test"]


def test_paragraphs_are_cut_apart_before_sentences_are():
    paragraphs = "a b c. d e f.\n\ng h i. j k l."
    assert texts(paragraphs, max_words=9, overlap_words=0) == ["a b c. d e f.", "g h i. j k l."]


def test_sentences_are_cut_apart_before_lines_and_words_are():
    wrapped = "a b c d e.\nf g\nh i j k l."
    assert texts(wrapped, max_words=8, overlap_words=0) == ["a b c d e.", "f g\nh i j k l."]
    assert texts("a b c d e f", max_words=4, overlap_words=0) == ["a b c d", "e f"]


def test_a_passage_begins_with_the_last_sentence_of_the_one_before():
    sentences = "a b c. d e. f g. h i."
    assert texts(sentences, max_words=5, overlap_words=2) == ["a b c. d e.", "d e. f g.", "f g. h i."]


def test_what_a_cut_between_words_parts_stands_whole_in_the_next_passage():
    words = [f"w{n}" for n in range(400)]
    pieces = texts(" ".join(words))
    assert [len(piece.split()) for piece in pieces] == [160, 160, 144]
    assert all(any(f"{one} {other}" in piece for piece in pieces) for one, other in pairwise(words))


def test_a_cut_between_sentences_parts_nothing_and_is_not_reached_behind():
    assert texts("a b c d. e f g h.", max_words=5, overlap_words=2) == ["a b c d.", "e f g h."]


def test_scripts_without_spaces_are_cut_by_the_character_and_after_their_full_stops():
    assert texts("東京は首都。京都は古都。", max_words=8, overlap_words=0) == ["東京は首都。", "京都は古都。"]


def test_a_long_run_without_spaces_is_cut_too():
    assert max(map(len, texts("x" * 10_000, max_words=20))) == 600


@given(st.lists(st.sampled_from(["word", "end.", "\n", "\n\n", "- item", "永"]), max_size=60))
def test_every_word_stands_in_a_passage_and_no_passage_is_longer_than_asked(parts):
    text = " ".join(parts)
    numbered = " ".join(f"{part}{n}" if part == "word" else part for n, part in enumerate(text.split(" ")))
    passages = texts(numbered, max_words=10, overlap_words=3)
    assert all(len(passage.split()) <= 10 for passage in passages)
    assert set(" ".join(passages).split()) == set(numbered.split())
