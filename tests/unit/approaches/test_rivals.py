from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.approaches.base import APPROACHES, Approach
from tunewise.approaches.floors import all_floors
from tunewise.approaches.majority import Majority
from tunewise.approaches.nearest_copy import NearestCopy
from tunewise.approaches.pattern_majority import PatternMajority
from tunewise.approaches.prompted import Prompted, draw_shots, fine_tuned
from tunewise.approaches.rivals import RIVALS, PromptSetup, build, list_setups
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import Wording, list_wordings
from tunewise.data.documents import Document
from tunewise.data.instructions import common_instruction
from tunewise.records import Example, Grammar, Message, Tool
from tunewise.report.rivals import describe
from tunewise.retrieval.retriever import retrieve_examples, retrieve_passages


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


def test_every_prompted_rival_is_one_that_a_run_can_be_asked_for_and_that_the_report_describes() -> None:
    names = [rival.name for rival in RIVALS]
    assert names == [name for name in APPROACHES if describe(name)[0] in ("prompt", "documents")]
    assert all(describe(name)[1] for name in APPROACHES), "with a line on what it does"


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    documents = [Document("Red is 1.", "a.txt"), Document("Green is 2.", "b.txt")]
    return Shown(
        "m",
        TRAIN,
        0,
        fits=lambda messages, example: True,
        near=retrieve_examples(TRAIN, 0, None, tmp_path),
        passages=retrieve_passages(documents, None, tmp_path),
    )


def setup(rival: str, instruction: str | None = None, number: int = 0) -> PromptSetup:
    return PromptSetup(rival, instruction, num_shots=number, num_passages=number)


def test_zero_shot_and_fine_tuned_send_the_input_alone(shown: Shown) -> None:
    for approach in (build(setup("zero-shot"), shown), fine_tuned("m")):
        assert approach.messages(TRAIN[0]) == (Message("user", "red"),)


def test_instructed_sends_its_instruction_and_not_the_rows_own(shown: Shown) -> None:
    messages = build(setup("instructed", "New."), shown).messages(TRAIN[0])
    assert messages == (Message("system", "New."), Message("user", "red"))


def test_few_shot_sends_worked_examples_as_earlier_turns(shown: Shown) -> None:
    messages = build(setup("few-shot", "I.", 2), shown).messages(example("grey", "?"))
    roles = ["system", "user", "assistant", "user", "assistant", "user"]
    assert [message.role for message in messages] == roles
    shots = {(row.turns[0].content, row.answer) for row in TRAIN}
    assert {(messages[1].content, messages[2].content), (messages[3].content, messages[4].content)} <= shots


def test_no_approach_shows_the_answer_it_is_asked_for(shown: Shown) -> None:
    secret = example("question", "the-secret-answer")
    for approach in (*(build(setup(rival.name, "I.", 4), shown) for rival in RIVALS), fine_tuned("m")):
        assert "the-secret-answer" not in "".join(m.content for m in approach.messages(secret))


def test_nearest_shots_and_passages_are_those_of_the_input(shown: Shown) -> None:
    nearest = build(setup("few-shot-nearest", None, 1), shown).messages(example("greener than blue", "?"))
    assert [message.content for message in nearest][:2] == ["greener", "2"]
    (asked,) = build(PromptSetup("rag", num_passages=1), shown).messages(example("what is red", "?"))
    assert "Red is 1." in asked.content
    assert asked.content.endswith("what is red")


def test_one_setup_of_rag_shows_worked_examples_as_few_shot_does_and_counts_as_long(shown: Shown) -> None:
    *others, both = list_setups(["rag"], [Wording("I."), Wording("I. JSON.", note="form told")])
    assert both.label == "rag, 4 shots, 2 passages"
    assert (both.instruction, both.is_longest) == ("I.", True)
    assert [setup.num_shots for setup in others] == [0, 0, 0, 0]
    asked = example("Is red 1?", "?")
    few_shot = build(PromptSetup("few-shot", "I.", num_shots=4), shown).messages(asked)
    with_passages = build(PromptSetup("rag", "I.", num_passages=2), shown).messages(asked)
    assert build(both, shown).messages(asked) == (*few_shot[:-1], with_passages[-1])


def test_shots_that_do_not_fit_are_left_out_the_last_drawn_or_the_least_similar_first(shown: Shown) -> None:
    tight = replace(shown, fits=lambda messages, _: len(messages) <= 1 + 2 * 2 + 1)
    asked = example("greenest of all", "?")
    for rival in ("few-shot", "few-shot-nearest"):
        fitting = build(setup(rival, "I.", 2), shown).messages(asked)
        assert build(setup(rival, "I.", 4), tight).messages(asked) == fitting
        nothing_fits = replace(shown, fits=lambda *_: False)
        assert build(setup(rival, "I.", 4), nothing_fits).messages(asked) == (fitting[0], fitting[-1])


def test_every_setup_has_a_label_of_its_own(shown: Shown) -> None:
    wordings = [
        Wording("I."),
        Wording("I. JSON.", note="form told"),
        Wording("I.", Grammar("lark", "x"), "b"),
    ]
    setups = list_setups([rival.name for rival in RIVALS], wordings)
    assert len({setup.label for setup in setups}) == len(setups) == 1 + 3 + 5 + 5 + 6
    assert {build(setup, shown).name for setup in setups} == {rival.name for rival in RIVALS}


def test_the_form_of_the_answers_is_told_and_enforced() -> None:
    rows = [example(str(number), ["yes", "no"][number % 2]) for number in range(20)]
    given, told, enforced = list_wordings(rows, "Decide.")
    assert (given.instruction, given.grammar) == ("Decide.", None)
    assert told.instruction == "Decide.\n\nAnswer with exactly one of these and nothing else: yes, no."
    assert enforced.grammar == Grammar("lark", 'start: "yes" | "no"')


def test_without_an_instruction_the_form_of_the_answers_is_one() -> None:
    rows = [example(str(number), f'{{"n": {number}}}', system=None) for number in range(20)]
    told, _ = list_wordings(rows, None)
    assert told.instruction == "Answer with JSON and nothing else. Answers are JSON objects with n (number)."


def test_too_few_answers_and_calls_of_functions_show_no_form() -> None:
    assert list_wordings(TRAIN, None) == [Wording(None)]
    rows = [Example(str(n), TRAIN[0].messages, 1, str(n), tools=(Tool("f"),)) for n in range(20)]
    assert list_wordings(rows, "Call.") == [Wording("Call.")]


def test_the_commonest_instruction_is_the_one_to_prompt_with() -> None:
    assert common_instruction(TRAIN) == "Do it."
    assert common_instruction([TRAIN[3]]) is None


def test_shots_differ_in_their_answers_and_fewer_are_a_prefix_of_more() -> None:
    shots = draw_shots(TRAIN, 3, seed=0)
    assert {shot.answer for shot in shots} == {"1", "2", "3"}
    assert draw_shots(TRAIN, 2, seed=0) == shots[:2]
    assert len(draw_shots(TRAIN, 9, seed=0)) == len(TRAIN)


def test_a_row_whose_system_message_is_input_is_asked_with_it_by_every_rival(shown: Shown) -> None:
    asked, shot = (
        replace(example(question, answer, system), own_system=True)
        for question, answer, system in (("house", "Haus", "To German."), ("tree", "arbre", "To French."))
    )

    def sent(approach: Approach) -> list[tuple[str, str]]:
        return [(message.role, message.content) for message in approach.messages(asked)]

    alone = [("system", "To German."), ("user", "house")]
    assert sent(Prompted("zero-shot", "base")) == sent(fine_tuned("ft:a")) == alone
    assert sent(Prompted("instructed", "base", "Be brief.")) == [
        ("system", "Be brief.\n\nTo German."),
        ("user", "house"),
    ]
    assert sent(Prompted("few-shot", "base", "Be brief.", [shot])) == [
        ("system", "Be brief."),
        ("user", "To French.\n\ntree"),
        ("assistant", "arbre"),
        ("user", "To German.\n\nhouse"),
    ]
    system, user = sent(build(PromptSetup("rag", "Be brief.", num_passages=1), shown))
    assert system == ("system", "Be brief.\n\nTo German.")
    assert user[1].endswith("house")
