from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pytest

from metric_samples import asked
from tunewise.errors import SpecError
from tunewise.evaluate.judge import Judgement, check_judge, judge_answers, read_reply
from tunewise.progress import SilentProgress
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


def judge(opinion: Callable[[str, str], str | None], first=LONG, second=SHORT) -> Judgement:
    scores = list(first.values()), list(second.values())
    return judge_answers(Judge(opinion), "judge", EXAMPLES, *scores, 0, SilentProgress())


def outcomes(judgement: Judgement) -> tuple[int, int, int]:
    return judgement.wins, judgement.ties, judgement.losses


def prefers_short(one: str, two: str) -> str:
    return "1" if len(one) < len(two) else "2"


def test_a_judge_that_prefers_the_first_place_sees_no_difference_and_is_found_out() -> None:
    for place in "12":
        judgement = judge(lambda one, two, place=place: place)
        assert outcomes(judgement) == (0, 2, 0)
        assert (judgement.judged, judgement.contradicted) == (2, 2)
        assert judgement.is_fickle
        assert "changed its mind with the order of the answers on 2" in judgement.describe()


def test_a_judge_that_prefers_an_answer_is_followed_in_either_place() -> None:
    assert outcomes(judge(prefers_short)) == (0, 0, 2)
    judgement = judge(prefers_short, SHORT, LONG)
    assert outcomes(judgement) == (2, 0, 0)
    assert not judgement.is_fickle
    assert judgement.gain is not None
    assert judgement.gain.estimate == 1
    assert judgement.gain.low < 0 < judgement.gain.p_one_sided  # Two examples prove nothing.


def test_a_judge_that_is_undecided_in_one_order_has_seen_no_clear_difference() -> None:
    judgement = judge(lambda one, two: "tie" if len(one) < len(two) else "1")
    assert (outcomes(judgement), judgement.contradicted) == ((0, 2, 0), 2)


def test_a_failed_call_is_undefined_and_no_tie_and_its_error_is_told() -> None:
    judgement = judge(lambda one, two: None)
    assert (outcomes(judgement), judgement.undefined, judgement.gain) == ((0, 0, 0), 2, None)
    assert judgement.problem == "time-out"
    assert "no verdict on any of 2 examples (time-out)" in judgement.describe()


def test_an_unreadable_reply_in_one_order_is_undefined_and_the_others_count() -> None:
    judgement = judge(lambda one, two: "both are fine" if one == "Lima" else prefers_short(one, two))
    assert (outcomes(judgement), judgement.undefined) == ((0, 0, 1), 1)
    assert judgement.problem == "the judge replied 'both are fine'"


def test_an_answer_beats_none_and_equal_answers_tie_without_asking() -> None:
    nobody = answers("time-out", "time-out", status="failed")

    def never(one: str, two: str) -> str:
        raise AssertionError("there is nothing to judge")

    for first, second, expected in (
        (SHORT, nobody, (2, 0, 0)),
        (nobody, SHORT, (0, 0, 2)),
        (nobody, nobody, (0, 2, 0)),
        (SHORT, SHORT, (0, 2, 0)),
    ):
        judgement = judge(never, first, second)
        assert (outcomes(judgement), judgement.judged) == (expected, 0)


def test_an_empty_answer_is_an_answer_and_is_judged() -> None:
    assert judge(lambda one, two: "1" if one else "2", SHORT, answers("", "")).judged == 2


def test_the_judge_sees_the_question_and_the_reference_and_not_who_answered() -> None:
    engine = Judge(lambda one, two: "1")
    judge_answers(engine, "judge", EXAMPLES, list(LONG.values()), list(SHORT.values()), 0, SilentProgress())
    seen = engine.requests[0].messages[-1].content
    assert "question 1" in seen
    assert "the capital of Peru is Lima" in seen
    assert "rival" not in seen
    assert {request.temperature for request in engine.requests} == {0.0}


def test_a_judgement_survives_the_run_folder() -> None:
    for opinion in (prefers_short, lambda one, two: None):
        judgement = judge(opinion)
        assert Judgement.from_json(json.loads(json.dumps(asdict(judgement)))) == judgement


def test_a_judge_on_another_machine_is_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="sent to another machine, which is not supported: name a model of"):
        check_judge("remote:gpt-large")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [("1", 1), (" 2.\n", -1), ("Answer 1", 1), ("TIE", 0), ("**2** is better", -1),
     ("1 is better than 2", None), ("", None), ("12", None), ("neither", None)],
)  # fmt: skip
def test_a_reply_is_read_only_where_it_names_one_winner(reply: str, outcome: int | None) -> None:
    assert read_reply(reply) == outcome
