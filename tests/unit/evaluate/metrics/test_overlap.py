from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.evaluate.metrics.overlap import chrf, rouge_l


def test_rouge_l_gives_the_figures_of_its_paper() -> None:
    expected = "police killed the gunman"
    assert rouge_l("police kill the gunman", expected) == pytest.approx(3 / 4)
    assert rouge_l("the gunman kill police", expected) == pytest.approx(2 / 4)


def test_rouge_l_charges_for_words_that_nobody_asked_for() -> None:
    assert rouge_l("the cat sat on the mat today", "the cat sat") == pytest.approx(2 * 3 / (7 + 3))
    assert rouge_l("", "the cat sat") == 0.0
    assert rouge_l("anything", "...") is None


def test_chrf_counts_pieces_of_words() -> None:
    expected = "The cats sat on the mat."
    same, inflected, other = (
        chrf(answer, expected) for answer in (expected, "The cat sits on the mat.", "Dogs!")
    )
    assert same == pytest.approx(1.0)
    assert other < 0.1 < 0.5 < inflected < 0.9


def test_chrf_is_the_f_score_of_its_paper() -> None:
    # "ab" and "abc": unigrams 2 of 2 and 2 of 3, bigrams 1 of 1 and 1 of 2; longer ones on one side only.
    precision, recall = (1 + 1) / 2, (2 / 3 + 1 / 2) / 2
    assert chrf("ab", "abc") == pytest.approx(5 * precision * recall / (4 * precision + recall))


@given(st.text(), st.text(min_size=1))
def test_overlap_is_a_share_of_any_two_texts(answer: str, expected: str) -> None:
    for metric in (chrf, rouge_l):
        value = metric(answer, expected)
        assert value is None or 0 <= value <= 1 + 1e-9
