"""A review by hand, without a terminal: which question comes next, and what decisions make of the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.data.checks.base import Problem
from tunewise.data.duplicates import example_id
from tunewise.data.review import Review, list_questions, read_decisions, save_decisions
from tunewise.data.row_problems import RowProblem
from tunewise.data.source_rows import SourceRow
from tunewise.errors import RequestError
from tunewise.records import Example, Message, ToolCall


def row(line: int, question: str, answer: str, *calls: ToolCall) -> Example:
    messages = (Message("user", question), Message("assistant", answer, tool_calls=calls))
    return Example(example_id(messages), messages, line, question)


def source(example: Example, **more: Any) -> SourceRow:
    turns = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    fields = {"messages": turns, **more}
    return SourceRow(example.line, fields, json.dumps(fields))


ROWS = [
    row(1, "2 zl", "2"),
    row(2, "hi", "yes"),
    row(3, "2  ZL", "3"),
    row(4, "2 zl", "2"),
    row(5, "x", "No!"),
]
CONTRADICTION = Problem("contradiction", "warning", (1, 3, 4), "lines 1 and 3 differ")
DRIFT = Problem("format-drift", "warning", (3, 5), "line 3 is no label")


@pytest.fixture
def review() -> Review:
    return Review(list_questions([CONTRADICTION, DRIFT], ROWS))


def asked(review: Review) -> list[int] | None:
    return [each.line for each in review.question.rows] if review.question else None


def answers(review: Review) -> list[str | None]:
    texts = [review.revise(source(each)).text for each in ROWS]
    return [json.loads(text)["messages"][-1]["content"] if text else None for text in texts]


def test_rows_with_one_input_are_one_question_and_others_stand_alone(review: Review) -> None:
    assert [[each.line for each in question.rows] for question in review.questions] == [[1, 3, 4], [3], [5]]


def test_inputs_that_a_contradiction_takes_for_one_are_one_question() -> None:
    rows = [row(1, "How much is it?", "2"), row(2, "how much  is it", "3")]
    questions = list_questions([Problem("contradiction", "error", (1, 2), "they differ")], rows)
    assert [[each.line for each in question.rows] for question in questions] == [[1, 2]]


def test_lines_that_are_no_examples_are_not_asked_about() -> None:
    assert list_questions([Problem("malformed", "error", (7,), "")], ROWS) == []


def test_one_can_go_back_to_what_was_decided_in_an_earlier_session(review: Review) -> None:
    review.drop([ROWS[0], ROWS[2], ROWS[3]])
    review.go_on()
    later = Review(review.questions, review.decisions)
    assert asked(later) == [5]
    assert later.back()
    assert asked(later) == [1, 3, 4]
    assert len(later.undecided()) == 3
    assert not later.back()


def test_decisions_that_cannot_be_saved_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match=r"decisions\.json: cannot be written"):
        save_decisions(tmp_path / "file" / "decisions.json", "", ())


def test_a_question_stays_until_every_row_of_it_is_decided(review: Review) -> None:
    review.drop([ROWS[2]])
    review.go_on()
    assert asked(review) == [1, 3, 4]
    review.keep(review.undecided())
    review.go_on()
    assert asked(review) == [5]  # Row 3 is gone, so nobody asks about its form.
    review.edit(ROWS[4], "no")
    review.go_on()
    assert asked(review) is None
    assert answers(review) == ["2", "yes", None, "2", "no"]


def test_one_answer_can_be_chosen_for_all(review: Review) -> None:
    review.answer_all_as(ROWS[2])
    assert answers(review) == ["3", "yes", "3", "3", "No!"]
    assert [decision.action for decision in review.decisions] == ["edit", "keep", "edit"]


def test_an_edited_answer_can_be_chosen_and_dropped_rows_stay_out(review: Review) -> None:
    review.edit(ROWS[0], "2.0")
    review.drop([ROWS[3]])
    review.answer_all_as(ROWS[0])
    assert answers(review) == ["2.0", "yes", "2.0", None, "No!"]
    assert review.undecided() == ()


def test_a_later_question_shows_what_the_earlier_one_made_of_a_row(review: Review) -> None:
    review.answer_all_as(ROWS[0])
    review.go_on()
    assert asked(review) == [3]
    assert review.answer(ROWS[2]) == "2"
    review.keep([ROWS[2]])
    assert answers(review)[2] == "2"
    review.edit(ROWS[2], "two")
    assert answers(review)[2] == "two"


def test_back_undoes_this_question_first_and_then_the_one_before(review: Review) -> None:
    review.drop(review.undecided())
    review.go_on()
    assert asked(review) == [5]
    review.keep(review.undecided())
    review.go_on()
    assert review.question is None
    assert review.back()
    assert asked(review) == [5]
    assert review.back()
    assert asked(review) == [1, 3, 4]
    review.drop([ROWS[0]])
    assert review.back()
    assert review.decisions == ()
    assert not review.back()


def test_what_is_skipped_is_asked_again_the_next_time(review: Review) -> None:
    review.skip()
    review.keep(review.undecided())
    review.go_on()
    review.keep(review.undecided())
    review.go_on()
    assert (review.question, review.num_open) == (None, 1)
    again = Review(review.questions, review.decisions)
    assert asked(again) == [1, 3, 4]


@pytest.mark.parametrize("answer", ["", " \n", "\0", "\ud800"])
def test_an_answer_that_cannot_be_learned_is_refused(review: Review, answer: str) -> None:
    with pytest.raises(RequestError):
        review.edit(ROWS[0], answer)
    assert review.decisions == ()


def test_calls_are_kept_or_dropped_but_not_written_by_hand() -> None:
    call = row(1, "q", "", ToolCall("c", "f", "{}"))
    review = Review(
        list_questions([Problem("contradiction", "warning", (1, 2), "")], [call, row(2, "q", "a")])
    )
    for attempt in (lambda: review.edit(call, "x"), lambda: review.answer_all_as(call)):
        with pytest.raises(RequestError, match="line 1 answers with a call"):
            attempt()
    assert review.decisions == ()


def test_everything_else_of_an_edited_row_is_kept_and_the_change_is_told(review: Review) -> None:
    review.edit(ROWS[0], "zwei")
    revised = review.revise(source(ROWS[0], topic=7))
    assert json.loads(revised.text or "") == {
        "messages": [{"role": "user", "content": "2 zl"}, {"role": "assistant", "content": "zwei"}],
        "topic": 7,
    }
    assert [(change.line, change.code, change.where) for change in revised.changes] == [
        (1, "contradiction", "messages[1]")
    ]


def test_rows_that_nobody_decided_come_out_byte_for_byte(review: Review) -> None:
    text = '{ "messages" : 1.50 }'
    assert review.revise(SourceRow(2, {"messages": 1.5}, text)).text == text
    problem = RowProblem("not JSON")
    assert review.revise(SourceRow(9, None, "{", problem)).text == "{"
    with pytest.raises(RequestError, match=r"line 9: not JSON; mend it, or .* --drop malformed"):
        review.revise(SourceRow(9, None, None, problem))


def test_decisions_survive_in_their_file(review: Review, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    assert read_decisions(path, "abc") == ()
    review.answer_all_as(ROWS[2])
    review.go_on()
    review.edit(ROWS[2], "é\u2028")
    save_decisions(path, "abc", review.decisions)
    again = Review(review.questions, read_decisions(path, "abc"))
    assert answers(again) == answers(review)
    assert asked(again) == [5]


def test_decisions_about_another_file_are_refused(review: Review, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    save_decisions(path, "abc", review.decisions)
    with pytest.raises(RequestError, match="another state of the data: remove it"):
        read_decisions(path, "other")
    path.write_text("[]", "utf-8")
    with pytest.raises(RequestError, match="holds no decisions of a review: remove it"):
        read_decisions(path, "abc")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("kdeasb"), st.integers(0, 2)), max_size=12), st.integers(0, 12))
def test_stopping_anywhere_and_going_on_loses_no_decision(steps: list[tuple[str, int]], stop: int) -> None:
    questions = list_questions([CONTRADICTION, DRIFT], ROWS)
    review = Review(questions)
    for step, (key, number) in enumerate(steps):
        if step == stop:
            review = Review(questions, review.decisions)
        if (question := review.question) is None:
            break
        chosen = question.rows[number % len(question.rows)]
        before = {(each.code, each.line) for each in review.decisions}
        match key:
            case "k":
                review.keep([chosen])
            case "d":
                review.drop([chosen])
            case "e":
                review.edit(chosen, "new")
            case "a":
                review.answer_all_as(chosen)
            case "s":
                review.skip()
            case "b":
                review.back()
                continue
        if review.question is not None and key != "s":
            review.go_on()
        assert before <= {(each.code, each.line) for each in review.decisions}
        assert answers(Review(questions, review.decisions)) == answers(review)
