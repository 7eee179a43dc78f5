"""When two greedy answers count as the same, and how a proof reads."""

from __future__ import annotations

import pytest

from toy import make_loaded
from tunewise.engines.local import LocalEngine
from tunewise.export.proof import ExportProof, compare_answers, describe
from tunewise.records import ChatRequest, Message, ParityCertificate

REQUEST = ChatRequest("toy", (Message("user", "hello"),), 8)


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return LocalEngine(make_loaded())


def score(engine: LocalEngine, answer: str) -> list[float]:
    return engine.score("toy", [*REQUEST.messages, Message("assistant", answer)])


def test_the_same_answer_is_equal(engine: LocalEngine) -> None:
    assert compare_answers(engine, REQUEST, "yes", "yes", 0.0) == "equal"


def test_an_answer_cut_inside_a_character_is_equal(engine: LocalEngine) -> None:
    assert compare_answers(engine, REQUEST, "yes \ufffd", "yes", 0.0) == "equal"


def test_answers_that_part_at_a_tie_are_tied_and_others_are_not(engine: LocalEngine) -> None:
    scores = {letter: score(engine, letter)[0] for letter in "abcdefgh"}
    theirs, ours = sorted(scores, key=lambda letter: scores[letter])[-2:]
    between = scores[ours] - scores[theirs]
    assert compare_answers(engine, REQUEST, ours, theirs, between / 2 + 1e-4) == "tied"
    assert compare_answers(engine, REQUEST, ours, theirs, between / 2 - 1e-4) == "other"


def test_where_answers_part_is_what_counts_and_not_where_they_begin(engine: LocalEngine) -> None:
    scores = [score(engine, text)[2] for text in ("abc", "abd")]
    better, worse = ("abc", "abd") if scores[0] > scores[1] else ("abd", "abc")
    between = abs(scores[0] - scores[1])
    assert compare_answers(engine, REQUEST, better, worse, between / 2 + 1e-4) == "tied"
    assert compare_answers(engine, REQUEST, better, worse, between / 2 - 1e-4) == "other"


def test_an_answer_that_stops_earlier_parts_at_its_end_of_turn(engine: LocalEngine) -> None:
    stop = score(engine, "ab")[2]
    more = score(engine, "abc")[2]
    outcome = compare_answers(engine, REQUEST, "ab", "abc", abs(stop - more) / 2 - 1e-4)
    assert outcome == ("other" if stop > more else "tied")


def test_a_proof_reads_in_one_line() -> None:
    certificate = ParityCertificate("float16", 16, 254, True, 0.004, 1e-4, 0.05, True)
    proof = ExportProof("llama.cpp", "validation", certificate, 16, 15, 1, True)
    assert describe(proof) == (
        "llama.cpp on 16 validation rows: the same token ids, log-probabilities of 254 answer tokens within "
        "0.004 nats (0.05 allowed), 15 of 16 greedy answers the same and 1 tied"
    )
    other = ParityCertificate("float16", 5, 0, False, None, None, 0.05, False)
    assert describe(ExportProof("llama.cpp", "examples", other, 5, 0, 0, False)).startswith(
        "llama.cpp on 5 example prompts: OTHER token ids, log-probabilities of 0 answer tokens within no num"
    )
