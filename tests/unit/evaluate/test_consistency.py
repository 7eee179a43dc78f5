"""Whether an approach gives the same answer again, whatever the sampling, the order and the layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from toy import make_loaded
from tunewise.approaches.base import Approach
from tunewise.approaches.few_shot_nearest import FewShotNearest
from tunewise.approaches.prompted import Prompted, fine_tuned
from tunewise.approaches.rag import Rag
from tunewise.data.documents import Document
from tunewise.engines.local import LocalEngine
from tunewise.evaluate.consistency import (
    DEPLOYMENT_TEMPERATURE,
    MIN_INPUTS,
    NUM_INPUTS,
    describe,
    measure_consistency,
)
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import Decoding
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Completion, Consistency, Example, Message
from tunewise.retrieval.retriever import retrieve_examples, retrieve_passages
from tunewise.serve.wire import DEFAULT_TEMPERATURE


def example(number: int, answer: str) -> Example:
    question = f"question {number}"
    return Example(question, (Message("user", question), Message("assistant", answer)), number, question)


LABELLED = [example(number, ("yes", "no")[number % 2]) for number in range(60)]
DECODING = Decoding(choose_scoring(LABELLED), 5)
PROMPT = Prompted("few-shot", "toy", "I.", LABELLED[:4])


class Answers:
    """An engine that answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: Callable[[ChatRequest], str | None]) -> None:
        self.answer = answer
        self.asked: list[ChatRequest] = []

    def generate(self, requests: Sequence[ChatRequest], on_done: object) -> list[Completion]:
        self.asked += requests
        texts = map(self.answer, requests)
        return [
            Completion("", "error", 1, 0, 1.0, error="broken")
            if text is None
            else Completion(text, "stop", 1, 1, 1.0)
            for text in texts
        ]


def right_answer(request: ChatRequest) -> str:
    number = int("".join(c for c in request.messages[-1].content if c.isdigit()))
    return LABELLED[number].answer


def measure(
    answer: Callable[[ChatRequest], str | None], approach: Approach = PROMPT
) -> tuple[Consistency, list[ChatRequest]]:
    engine = Answers(answer)
    seen = measure_consistency(approach, LABELLED, engine, DECODING, 7, SilentProgress())
    assert seen is not None
    return seen, engine.asked


def test_one_answer_whatever_is_asked_is_perfectly_steady() -> None:
    seen, asked = measure(right_answer)
    assert seen == Consistency(1.0, 0.0, 1.0, 1.0, NUM_INPUTS, DEPLOYMENT_TEMPERATURE)
    assert len(asked) == 200
    sampled = [request for request in asked if request.temperature == DEPLOYMENT_TEMPERATURE]
    assert {request.seed for request in sampled} == {7, 8, 9, 10, 11}
    assert {request.temperature for request in asked} == {0.0, DEPLOYMENT_TEMPERATURE}
    assert "equal answers in 100% of pairs at temperature 1" in describe("few-shot", seen)


def test_what_is_measured_is_how_a_request_is_answered_that_names_no_temperature() -> None:
    assert DEPLOYMENT_TEMPERATURE == DEFAULT_TEMPERATURE


def test_inputs_are_none_that_prompts_were_chosen_on() -> None:
    _, asked = measure(right_answer)
    numbers = {int("".join(c for c in r.messages[-1].content if c.isdigit())) for r in asked}
    assert numbers == set(range(60 - NUM_INPUTS, 60))


def test_pairs_agree_by_what_they_say_and_to_the_letter() -> None:
    # Of five repeats two are fenced and one is wrong: 6 of 10 pairs agree read, 1 + 1 to the letter.
    forms = {7: "{}", 8: "{}", 9: "```\n{}\n```", 10: "```\n{}\n```", 11: "other"}
    seen, _ = measure(lambda r: (forms[r.seed] if r.seed else "{}").format(right_answer(r)))
    assert (seen.agreement, seen.raw_agreement) == (pytest.approx(0.6), pytest.approx(0.2))
    assert seen.form_rate == pytest.approx(7 / 10)  # "other" is no label


def test_a_layout_that_ruins_the_answers_is_a_spread_and_chance_is_none() -> None:
    ruined, _ = measure(
        lambda r: "no idea" if r.messages[-1].content.startswith("INPUT") else right_answer(r)
    )
    assert ruined.agreement == 1
    assert ruined.spread is not None
    assert ruined.spread > 0.5
    count = iter(range(10**6))
    # Every fifth answer is wrong, in whatever layout: the best and worst mean differ by chance alone.
    chance, _ = measure(lambda r: "no idea" if next(count) * 7 % 5 == 0 else right_answer(r))
    assert chance.spread is not None
    assert chance.spread < 0.05


def test_the_shots_come_in_other_orders_and_are_laid_out_like_the_input() -> None:
    _, asked = measure(right_answer)
    greedy = [request for request in asked if request.temperature == 0][::NUM_INPUTS]
    last_shots = [request.messages[-3].content for request in greedy]
    assert last_shots[:3] == ["question 3", "question 0", "question 1"]
    assert last_shots[3:] == ["Input: question 3\nOutput:", "INPUT:\n\nquestion 3\n\nOUTPUT:"]


def test_nearest_shots_are_rotated_too(tmp_path: Path) -> None:
    near = FewShotNearest("toy", None, retrieve_examples(LABELLED[:30], 0, None, tmp_path), 3)
    usual, rotated = (one.messages(LABELLED[50]) for one in (near, near.rotate_shots(1)))
    assert rotated == (*usual[2:6], *usual[:2], usual[6])


def test_shots_beside_passages_are_rotated_too(tmp_path: Path) -> None:
    passages = retrieve_passages([Document("Question 50.", "")], None, tmp_path)
    rag = Rag("rag", "toy", None, passages, 1, lambda *_: True, shots=LABELLED[:3])
    usual, rotated = (one.messages(LABELLED[50]) for one in (rag, rag.rotate_shots(1)))
    assert rotated == (*usual[2:6], *usual[:2], usual[6])
    assert len(measure(lambda _: "yes", rag)[1]) == (5 + 3 + 2) * NUM_INPUTS


def test_a_model_without_shots_is_asked_in_layouts_alone() -> None:
    _, asked = measure(right_answer, fine_tuned("toy"))
    assert len(asked) == (5 + 3) * NUM_INPUTS


def test_calls_that_fail_are_no_disagreement() -> None:
    seen, _ = measure(lambda r: None if r.seed == 8 else right_answer(r))
    assert (seen.agreement, seen.spread, seen.form_rate) == (1.0, 0.0, 1.0)
    seen, _ = measure(lambda r: None)
    assert (seen.agreement, seen.raw_agreement, seen.spread, seen.form_rate) == (None, None, None, None)
    assert describe("few-shot", seen) == "  few-shot: no call was answered"


def test_texts_that_differ_do_not_disagree() -> None:
    told = [
        example(number, f"It is a story of {number} things that all took place " * 2) for number in range(30)
    ]
    decoding = Decoding(choose_scoring(told), 5)
    seen = measure_consistency(PROMPT, told, Answers(lambda r: f"{r.seed}"), decoding, 0, SilentProgress())
    assert seen is not None
    assert (seen.agreement, seen.raw_agreement) == (None, 0.0)


def test_too_few_inputs_tell_nothing_and_cost_nothing() -> None:
    engine = Answers(right_answer)
    few = LABELLED[: MIN_INPUTS - 1]
    assert measure_consistency(PROMPT, few, engine, DECODING, 0, SilentProgress()) is None
    assert engine.asked == []


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(make_loaded())
    yield engine
    engine.close()


def test_a_real_engine_samples_otherwise_each_time_and_the_same_for_the_same_seed(
    engine: LocalEngine,
) -> None:
    def measure() -> Consistency | None:
        approach = Prompted("instructed", "toy", "I.")
        return measure_consistency(approach, LABELLED[:10], engine, DECODING, 0, SilentProgress())

    seen = measure()
    assert seen is not None
    assert seen.agreement is not None
    assert seen.agreement < 1
    assert measure() == seen
