from __future__ import annotations

from tunewise.approaches.base import APPROACHES
from tunewise.approaches.floors import all_floors
from tunewise.approaches.majority import Majority
from tunewise.approaches.nearest_copy import NearestCopy
from tunewise.approaches.pattern_majority import PatternMajority
from tunewise.approaches.prompted import (
    common_instruction,
    draw_shots,
    few_shot,
    fine_tuned,
    instructed,
    zero_shot,
)
from tunewise.records import Example, Message
from tunewise.report.rivals import describe


def example(question: str, answer: str, system: str | None = "Do it.") -> Example:
    opening = [] if system is None else [Message("system", system)]
    messages = (*opening, Message("user", question), Message("assistant", answer))
    return Example(question, messages, 1, question)


TRAIN = [
    example("red", "1"),
    example("green", "2"),
    example("greener", "2"),
    example("blue", "3", system=None),
]


def test_majority_gives_the_commonest_answer() -> None:
    floor = Majority()
    floor.prepare(TRAIN)
    assert floor.answer(example("anything", "?")) == "2"


def test_nearest_copy_gives_the_answer_of_the_most_similar_input() -> None:
    floor = NearestCopy()
    floor.prepare(TRAIN)
    assert floor.answer(example("BLUES", "?")) == "3"
    assert floor.answer(example("re", "?")) == "1"


THINGS = [first + second for first in "bcdfghk" for second in "aeiouy"]
PATTERNS = [
    *(example(f"Which colour has the {thing}?", "brown") for thing in THINGS),
    *(example(f"How many legs has the {thing}?", "six" if thing[0] == "b" else "four") for thing in THINGS),
]


def test_pattern_majority_gives_the_commonest_answer_to_questions_worded_alike() -> None:
    floor = PatternMajority()
    floor.prepare(PATTERNS)
    assert floor.answer(example("How many legs has the zebra?", "?")) == "four"
    assert floor.answer(example("Which colour has the Tasmanian devil?", "?")) == "brown"


def test_pattern_majority_gives_the_commonest_answer_of_all_to_a_new_pattern() -> None:
    floor = PatternMajority()
    floor.prepare(PATTERNS)
    assert floor.answer(example("Has the zebra legs?", "?")) == "brown"


def test_pattern_majority_knows_no_more_than_the_wording() -> None:
    floor = PatternMajority()
    floor.prepare(PATTERNS)
    six_legged = next(row for row in PATTERNS if row.answer == "six")
    assert floor.answer(six_legged) == "four"


def test_every_floor_is_one_that_a_run_can_be_asked_for_and_that_the_report_describes() -> None:
    names = [floor.name for floor in all_floors()]
    assert names == [name for name in APPROACHES if describe(name)[0] == "floor"]


def test_zero_shot_and_fine_tuned_send_the_input_alone() -> None:
    for approach in (zero_shot("m"), fine_tuned("m")):
        assert approach.messages(TRAIN[0]) == (Message("user", "red"),)


def test_instructed_sends_its_instruction_and_not_the_rows_own() -> None:
    assert instructed("m", "New.").messages(TRAIN[0]) == (Message("system", "New."), Message("user", "red"))


def test_few_shot_sends_worked_examples_as_earlier_turns() -> None:
    messages = few_shot("m", "I.", TRAIN[1:3]).messages(TRAIN[0])
    assert [m.content for m in messages] == ["I.", "green", "2", "greener", "2", "red"]
    assert [m.role for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]


def test_no_approach_shows_the_answer_it_is_asked_for() -> None:
    secret = example("question", "the-secret-answer")
    for approach in (zero_shot("m"), instructed("m", "I."), few_shot("m", "I.", TRAIN), fine_tuned("m")):
        assert "the-secret-answer" not in "".join(m.content for m in approach.messages(secret))


def test_the_commonest_instruction_is_the_one_to_prompt_with() -> None:
    assert common_instruction(TRAIN) == "Do it."
    assert common_instruction([TRAIN[3]]) is None


def test_shots_differ_in_their_answers_and_fewer_are_a_prefix_of_more() -> None:
    shots = draw_shots(TRAIN, 3, seed=0)
    assert {shot.answer for shot in shots} == {"1", "2", "3"}
    assert draw_shots(TRAIN, 2, seed=0) == shots[:2]
    assert len(draw_shots(TRAIN, 9, seed=0)) == len(TRAIN)
