"""Passages stand before the input in one layout, at test time and in training, as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from echo_engine import EchoEngine
from tunewise.approaches.base import Approach, Messages
from tunewise.approaches.few_shot_nearest import FewShotNearest
from tunewise.approaches.rag import Rag, add_what_fits, fine_tuned_rag, fits_engine
from tunewise.approaches.rag_training import DISTRACTED_SHARE, WITHHELD_SHARE, give_passages
from tunewise.data.documents import Document
from tunewise.records import Example, Message
from tunewise.retrieval.index import Ranking, TextIndex
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import Retriever, retrieve_examples, retrieve_passages

PLANETS = [f"planet{chr(97 + n // 20)}{chr(97 + n % 20)}" for n in range(400)]
COLOURS = [f"{1500 + n} nm" for n in range(400)]


def example(question: str, answer: str = "?", *before: Message) -> Example:
    messages = (*before, Message("user", question), Message("assistant", answer))
    return Example(question, messages, 1, question)


def passages(folder: Path, *texts: str) -> Retriever[Passage]:
    return retrieve_passages([Document(text, "") for text in texts], None, folder)


def always(messages: Messages, example: Example) -> bool:
    return True


def within(num_words: int) -> Callable[[Messages, Example], bool]:
    return lambda messages, _: sum(len(message.content.split()) for message in messages) <= num_words


def test_rag_sends_the_instruction_and_the_input_behind_its_passages_the_best_last(tmp_path: Path) -> None:
    found = passages(tmp_path, "Mars is cold and red.", "Venus is hot.", "Mars is red.")
    row = example("Is Mars red?", "yes", Message("system", "The row's own."))
    assert Rag("rag", "base", "Be short.", found, 2, always).messages(row) == (
        Message("system", "Be short."),
        Message(
            "user",
            "Passages that may help:\n\n[1] Mars is cold and red.\n\n[2] Mars is red.\n\nInput: Is Mars red?",
        ),
    )


def test_fine_tuned_rag_sends_the_same_without_instruction(tmp_path: Path) -> None:
    found = passages(tmp_path, "Mars is red.")
    row = example("Is Mars red?")
    told, tuned = Rag("rag", "base", "I.", found, 1, always), fine_tuned_rag("ft:x", found, 1, always)
    assert (tuned.name, tuned.model) == ("fine-tuned-rag", "ft:x")
    assert tuned.messages(row) == told.messages(row)[1:]


def test_of_a_conversation_the_last_user_turn_gets_the_passages(tmp_path: Path) -> None:
    row = example("And red?", "yes", Message("user", "Is it Mars?"), Message("assistant", "It is."))
    messages = Rag("rag", "base", None, passages(tmp_path, "Mars is red."), 1, always).messages(row)
    assert [m.content.endswith("And red?") for m in messages] == [False, False, True]
    assert messages[0].content == "Is it Mars?"


def test_an_input_without_passages_stays_as_it_is(tmp_path: Path) -> None:
    row = example("Is Mars red?")
    assert Rag("rag", "base", None, passages(tmp_path, "Venus."), 2, always).messages(row) == row.prompt


def test_what_is_looked_up_for_all_inputs_at_once_is_what_each_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [example("Is Mars red?"), example("Is Venus hot?")]
    texts = ("Mars is red.", "Venus is hot.", "Mars is cold.")

    def rivals() -> list[Approach]:
        train = retrieve_examples([example(text) for text in texts], 0, None, tmp_path)
        return [
            Rag("rag", "base", "I.", passages(tmp_path, *texts), 2, always),
            FewShotNearest("base", "I.", train, 2),
        ]

    one_by_one = [rival.messages(row) for rival in rivals() for row in rows]
    searched: list[Sequence[str]] = []
    search = TextIndex.search

    def watched(index: TextIndex, queries: Sequence[str], num_results: int) -> list[Ranking]:
        searched.append(queries)
        return search(index, queries, num_results)

    monkeypatch.setattr(TextIndex, "search", watched)
    at_once = rivals()
    for rival in at_once:
        rival.prepare(rows)
    assert [rival.messages(row) for rival in at_once for row in rows] == one_by_one
    assert searched == 2 * [[row.id for row in rows]]


def test_no_rival_with_passages_or_shots_shows_the_answer_it_is_asked_for(tmp_path: Path) -> None:
    secret = example("Is Mars red?", "the-secret-answer")
    train = retrieve_examples([secret, example("Is Venus red?", "no")], 0, None, tmp_path)
    for approach in (
        Rag("rag", "base", "I.", passages(tmp_path, "Mars is red."), 2, always),
        FewShotNearest("base", "I.", train, 2),
    ):
        assert "the-secret-answer" not in "".join(m.content for m in approach.messages(secret))


def test_the_worst_passages_go_first_where_not_all_fit_and_that_is_counted(tmp_path: Path) -> None:
    found = passages(tmp_path, "Mars is cold and red.", "Mars is red.")
    row = example("Is Mars red?")
    tight = Rag("rag", "base", None, found, 2, within(12))
    assert tight.messages(row)[-1].content.count("[") == 1
    assert "[1] Mars is red." in tight.messages(row)[-1].content
    assert tight.shortened_ids == {row.id}
    roomy = Rag("rag", "base", None, found, 2, within(99))
    roomy.messages(row)
    assert roomy.shortened_ids == set()


def test_worked_examples_go_before_passages_do_where_not_all_fits(tmp_path: Path) -> None:
    found = passages(tmp_path, "Mars is cold and red.", "Mars is red.")
    shots = [example("Is Venus red?", "no"), example("Is Pluto red?", "no")]
    row = example("Is Mars red?")
    sent = {}
    for num_words in (99, 23, 19, 12):
        rag = Rag("rag", "base", None, found, 2, within(num_words), shots=shots)
        *turns, asked = rag.messages(row)
        sent[num_words] = len(turns) // 2, asked.content.count("["), len(rag.shortened_ids)
    assert sent == {99: (2, 2, 0), 23: (1, 2, 0), 19: (0, 2, 0), 12: (0, 1, 1)}


def test_the_last_passage_is_cut_or_left_out() -> None:
    row = example("Is Mars red?")
    long = Passage(" ".join(f"w{n}" for n in range(100)), "")
    cut, is_shortened = add_what_fits(row.prompt, [long], row, within(40))
    assert cut[0].content.startswith("Passages that may help:\n\n[1] w0 w1")
    assert cut[0].content.endswith("w24\n\nInput: Is Mars red?")
    assert is_shortened
    assert add_what_fits(row.prompt, [long], row, within(10)) == (row.prompt, True)


def test_what_fits_is_what_the_engine_takes() -> None:
    fits = fits_engine(EchoEngine(), "echo", 10)
    assert fits((Message("user", "short"),), example("short"))
    assert not fits((Message("user", "too long"),), example("too long"))


def test_nearest_shots_are_as_the_input_the_nearest_last_and_never_the_example_itself(
    tmp_path: Path,
) -> None:
    rows = [example(f"price of {word}", word[0]) for word in ("red apples", "red pears", "green shoes")]
    train = retrieve_examples(rows, 0, None, tmp_path)
    asked = FewShotNearest("base", "I.", train, 2).messages(example("price of some red pears"))
    assert [m.content for m in asked] == [
        *("I.", "price of red apples", "r", "price of red pears", "r", "price of some red pears")
    ]
    itself = FewShotNearest("base", None, train, 2).messages(rows[0])
    assert [m.content for m in itself].count("price of red apples") == 1


@pytest.fixture
def rows_and_passages(tmp_path: Path) -> tuple[list[Example], Retriever[Passage]]:
    rows = [
        example(f"What colour has {planet}?", colour) for planet, colour in zip(PLANETS, COLOURS, strict=True)
    ]
    texts = [f"{planet} has the colour {colour}." for planet, colour in zip(PLANETS, COLOURS, strict=True)]
    return rows, passages(tmp_path, *texts)


def test_most_training_rows_are_laid_out_as_at_test_time(rows_and_passages) -> None:
    rows, found = rows_and_passages
    given = give_passages(rows, found, 3, always, seed=0)
    asked = fine_tuned_rag("ft:x", found, 3, always)
    same = sum(row.prompt == asked.messages(plain) for row, plain in zip(given.examples, rows, strict=True))
    assert same == len(rows) - given.num_distracted - given.num_withheld
    assert given.num_distracted == pytest.approx(DISTRACTED_SHARE * len(rows), abs=30)
    assert given.num_withheld == pytest.approx(WITHHELD_SHARE * len(rows), abs=20)


def test_rows_whose_answer_is_withheld_are_the_only_ones_without_it(rows_and_passages) -> None:
    rows, found = rows_and_passages
    given = give_passages(rows, found, 3, always, seed=0)
    without = [row for row in given.examples if row.answer not in row.prompt[-1].content]
    assert len(without) == given.num_withheld == len(rows) - given.num_answered
    assert all(row.prompt[-1].content.count("has the colour") == 3 for row in given.examples)
    assert [row.id for row in given.examples] == [row.id for row in rows]
    assert [row.answer for row in given.examples] == COLOURS


def test_what_becomes_of_a_row_depends_on_the_seed_and_on_no_other_row(rows_and_passages) -> None:
    rows, found = rows_and_passages
    given = give_passages(rows, found, 2, always, seed=1)
    assert give_passages(rows[5:9], found, 2, always, seed=1).examples == given.examples[5:9]
    assert give_passages(rows, found, 2, always, seed=2).examples != given.examples


def test_validation_rows_get_their_passages_as_they_are_found(rows_and_passages) -> None:
    rows, found = rows_and_passages
    given = give_passages(rows, found, 2, always, seed=None)
    asked = fine_tuned_rag("ft:x", found, 2, always)
    assert [row.prompt for row in given.examples] == [asked.messages(row) for row in rows]
    assert (given.num_distracted, given.num_withheld, given.num_shortened) == (0, 0, 0)
