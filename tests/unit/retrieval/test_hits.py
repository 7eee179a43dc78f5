"""What is retrieved is held against the expected answers, and against chance."""

from pathlib import Path

import pytest

from tunewise.data.documents import Document
from tunewise.records import Example, Message
from tunewise.retrieval.hits import held_shares, measure_hits, sought_phrases
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import Retriever, query_of, retrieve_passages

PLANETS = [f"planet{chr(97 + n // 10)}{chr(97 + n % 10)}" for n in range(50)]


def example(question: str, answer: str) -> Example:
    messages = (Message("user", question), Message("assistant", answer))
    return Example(question, messages, 1, question)


def retriever(folder: Path, *texts: str) -> Retriever[Passage]:
    return retrieve_passages([Document(text, "") for text in texts], None, folder)


def test_documents_that_hold_the_answers_lift_and_others_do_not(tmp_path: Path):
    rows = [example(f"When was {planet} seen first?", f"in {1500 + n}") for n, planet in enumerate(PLANETS)]
    right = [f"{planet} was first seen in {1500 + n}." for n, planet in enumerate(PLANETS)]
    wrong = [f"{planet} was first seen in {1549 - n}." for n, planet in enumerate(PLANETS)]

    helpful = measure_hits(retriever(tmp_path, *right), rows, 2, seed=0)
    useless = measure_hits(retriever(tmp_path, *wrong), rows, 2, seed=0)
    assert helpful.hit == 1
    assert helpful.random_hit < 0.1
    assert helpful.lift > 0.9
    assert useless.lift < 0.1


def test_what_any_document_says_is_no_lift(tmp_path: Path):
    rows = [example(f"Is {planet} far away?", "yes") for planet in PLANETS]
    hits = measure_hits(retriever(tmp_path, *(f"{planet}? Yes." for planet in PLANETS)), rows, 1, seed=0)
    assert (hits.hit, hits.random_hit, hits.lift) == (1, 1, 0)


def test_chance_cannot_be_told_where_most_passages_are_retrieved(tmp_path: Path):
    rows = [example("Which is red?", "Mars")]
    assert measure_hits(retriever(tmp_path, "Mars is red.", "Venus is hot."), rows, 2, seed=0).lift is None


def test_of_an_answer_with_several_values_the_share_counts(tmp_path: Path):
    rows = [example("Say all of Mars.", '{"colour": "rusty red", "moons": [2], "rings": null}')]
    assert measure_hits(retriever(tmp_path, "Mars has 2 moons."), rows, 1, seed=0).hit == 0.5


def test_what_was_found_is_told_example_by_example(tmp_path: Path):
    held, lacking = example("How many moons has Mars?", "2"), example("How many has Venus?", "0")
    told = example("Is it Mars or Venus?", "Mars")
    shares = held_shares(retriever(tmp_path, "Mars has 2 moons."), [held, lacking, told], 1)
    assert shares == {held.id: 1.0, lacking.id: 0.0}


def test_another_number_of_the_same_digits_is_no_hit(tmp_path: Path):
    row = example("How heavy is it?", "1.5")
    assert held_shares(retriever(tmp_path, "How heavy? It weighs 15 kg."), [row], 1) == {row.id: 0.0}
    assert held_shares(retriever(tmp_path, "How heavy? It weighs 1,50 kg."), [row], 1) == {row.id: 1.0}


def test_a_short_answer_has_to_stand_together():
    assert sought_phrases(example("Which browser?", "Edge 110")) == [" edge 110 "]


def test_what_the_prompt_says_already_is_not_looked_for(tmp_path: Path):
    told = example("Is it Mars or Venus?", "Mars")
    assert sought_phrases(told) == []
    assert measure_hits(retriever(tmp_path, "Mars."), [told], 1, seed=0) is None


def test_the_query_is_what_the_user_typed_and_never_the_answer():
    messages = (
        Message("system", "Be short."),
        Message("user", "Which planet is red?"),
        Message("assistant", "Mars"),
        Message("user", "And how many moons?"),
        Message("assistant", "secret"),
    )
    assert query_of(Example("1", messages, 1, "1")) == "And how many moons?\nWhich planet is red?"


def test_passages_of_an_example_are_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = retriever(tmp_path, "Mars is red.", "Mars is cold.", "Venus is hot.")
    rows = [example("How cold is Mars?", "very"), example("How hot is Venus?", "very")]
    searched = []
    search = found._index.search
    monkeypatch.setattr(
        found._index, "search", lambda queries, number: searched.append(queries) or search(queries, number)
    )
    found.prepare(rows)
    assert [passage.text for passage in found.find(rows[0], 1)] == ["Mars is cold."]
    assert len(found.find(rows[0], 9)) == 3
    assert searched == [["How cold is Mars?", "How hot is Venus?"]]
