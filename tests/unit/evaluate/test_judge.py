from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from metric_samples import asked
from tunewise.evaluate.judge import judge_pairs, read_reply
from tunewise.records import AnswerStatus, ChatRequest, Completion, Score

EXAMPLES = asked(["the capital of Peru is Lima", "the capital of Ecuador is Quito"])


class Judge:
    """Stands in for an engine: replies as `opinion` makes of the two answers."""

    def __init__(self, opinion: Callable[[str, str], str | None]) -> None:
        self.opinion = opinion
        self.requests: list[ChatRequest] = []

    def generate(self, requests: Sequence[ChatRequest], on_done: object = None) -> list[Completion]:
        self.requests += requests
        replies = [self.opinion(*(self._answer(request, n) for n in "12")) for request in requests]
        return [
            Completion("", "error", 1, 0, 1.0, error="time-out")
            if reply is None
            else Completion(reply, "stop", 1, 1, 1.0)
            for reply in replies
        ]

    def _answer(self, request: ChatRequest, number: str) -> str:
        found = re.search(rf"<answer_{number}>\n(.*)\n</answer_{number}>", request.messages[-1].content)
        assert found is not None
        return found[1]


def answers(*texts: str, status: AnswerStatus = "answered") -> dict[str, Score]:
    return {
        example.id: Score("rival", example.id, example.group, status, text, example.answer, {}, 1, 1, 1.0)
        for example, text in zip(EXAMPLES, texts, strict=True)
    }


LONG, SHORT = answers("It is Lima, of course.", "It is Quito, of course."), answers("Lima", "Quito")


def judge(opinion: Callable[[str, str], str | None], first=LONG, second=SHORT) -> list[int | None]:
    return list(judge_pairs(Judge(opinion), "judge", EXAMPLES, first, second).values())


def test_a_judge_that_prefers_the_first_place_sees_no_difference() -> None:
    assert judge(lambda one, two: "1") == judge(lambda one, two: "2") == [0, 0]


def test_a_judge_that_prefers_an_answer_is_followed_in_either_place() -> None:
    def prefers_short(one: str, two: str) -> str:
        return "1" if len(one) < len(two) else "2"

    assert judge(prefers_short) == [-1, -1]
    assert judge(prefers_short, SHORT, LONG) == [1, 1]


def test_a_judge_that_is_undecided_in_one_order_has_seen_no_clear_difference() -> None:
    assert judge(lambda one, two: "tie" if len(one) < len(two) else "1") == [0, 0]


def test_a_failed_call_or_an_unreadable_reply_is_undefined_and_no_tie() -> None:
    assert judge(lambda one, two: None) == [None, None]
    assert judge(lambda one, two: "1" if len(one) < len(two) else "both are fine") == [None, None]


def test_an_answer_beats_none_and_equal_answers_tie_without_asking() -> None:
    nobody = answers("time-out", "time-out", status="failed")
    engine = Judge(lambda one, two: "1")
    for first, second, outcome in (
        (SHORT, nobody, 1),
        (nobody, SHORT, -1),
        (nobody, nobody, 0),
        (SHORT, SHORT, 0),
    ):
        assert set(judge_pairs(engine, "judge", EXAMPLES, first, second).values()) == {outcome}
    assert engine.requests == []


def test_the_judge_sees_the_question_and_the_reference_and_not_who_answered() -> None:
    engine = Judge(lambda one, two: "1")
    judge_pairs(engine, "judge", EXAMPLES[:1], LONG, SHORT)
    seen = engine.requests[0].messages[-1].content
    assert "question 1" in seen
    assert "the capital of Peru is Lima" in seen
    assert "rival" not in seen
    assert [request.temperature for request in engine.requests] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [("1", 1), (" 2.\n", -1), ("Answer 1", 1), ("TIE", 0), ("**2** is better", -1),
     ("1 is better than 2", None), ("", None), ("12", None), ("neither", None)],
)  # fmt: skip
def test_a_reply_is_read_only_where_it_names_one_winner(reply: str, outcome: int | None) -> None:
    assert read_reply(reply) == outcome
