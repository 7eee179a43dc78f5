from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from toy import make_loaded
from tunewise.approaches.majority import Majority
from tunewise.approaches.prompted import Prompted
from tunewise.approaches.rivals import PromptSetup, build, list_setups
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import list_wordings
from tunewise.engines.local import LocalEngine
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import (
    Decoding,
    ScoredRun,
    ask_together,
    choose_decoding,
    run_approach,
    run_floor,
    value_of,
)
from tunewise.evaluate.selection import PromptChoice, choose_prompts, plan_rounds
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Completion, Example, Grammar, Message, Score, Tool, ToolCall


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = LocalEngine(make_loaded())
    yield engine
    engine.close()


def example(question: str, answer: str) -> Example:
    return Example(
        question,
        (Message("system", "I."), Message("user", question), Message("assistant", answer)),
        1,
        question,
    )


EXAMPLES = [example("a", "right"), example("b", "wrong"), example("c", "right")]
SCORING = choose_scoring(EXAMPLES)


def test_a_rival_is_scored_on_every_example_in_order() -> None:
    floor = Majority()
    floor.prepare(EXAMPLES)
    scores = run_floor(floor, EXAMPLES, SCORING).scores
    assert [score.metrics["exact_match"] for score in scores] == [1.0, 0.0, 1.0]
    assert [score.example_id for score in scores] == ["a", "b", "c"]


def test_a_failed_call_is_failed_and_not_a_wrong_answer(engine: LocalEngine) -> None:
    asked = [example("a", "x"), example("y" * 600, "x")]
    answered, failed = run_approach(
        Prompted("zero-shot", "toy"), asked, engine, Decoding(SCORING, 5), SilentProgress()
    ).scores
    assert (answered.status, answered.metrics["exact_match"]) == ("answered", 0.0)
    assert (failed.status, failed.metrics["exact_match"]) == ("failed", None)
    assert "context" in failed.answer


class Caller:
    """Stands in for an engine that calls the function it is told of, as no toy model would."""

    def generate(self, requests: list[ChatRequest], on_done: object) -> list[Completion]:
        assert all(request.tools == (Tool("weather"),) for request in requests)
        assert not any(request.parallel_tool_calls for request in requests)
        calls = [ToolCall("call_x", "weather", request.messages[-1].content) for request in requests]
        return [Completion("So:", "tool_calls", 1, 1, 1.0, tool_calls=(call,)) for call in calls]


def test_a_call_is_right_by_its_name_and_arguments() -> None:
    call = ToolCall("call_1", "weather", '{"city": "Bern", "days": 2}')
    answers = {
        '{"days":2.0,"city":"Bern"}': 1.0,
        '{"city":"Bern"}': 0.0,
        '{"city":"Bern","days":null}': 0.0,
        "{": 0.0,
    }
    asked = [
        Example(
            text, (Message("user", text), Message("assistant", "", tool_calls=(call,))), 1, text,
            (Tool("weather"),), False,
        )
        for text in answers
    ]  # fmt: skip
    decoding = Decoding(choose_scoring(asked), 5)
    run = run_approach(Prompted("zero-shot", "toy"), asked, Caller(), decoding, SilentProgress())
    assert [score.metrics["exact_match"] for score in run.scores] == list(answers.values())


def test_the_thinking_that_leads_an_answer_is_not_read() -> None:
    class Thinker:
        def generate(self, requests: list[ChatRequest], on_done: object) -> list[Completion]:
            return [Completion("<think>a?</think>\n\nright", "stop", 1, 1, 1.0) for _ in requests]

    run = run_approach(
        Prompted("zero-shot", "toy"), EXAMPLES, Thinker(), Decoding(SCORING, 5), SilentProgress()
    )
    assert [score.answer for score in run.scores] == ["right"] * 3
    assert [score.metrics["exact_match"] for score in run.scores] == [1.0, 0.0, 1.0]


def test_the_mean_counts_failures_as_zero_and_leaves_out_what_is_undefined() -> None:
    floor = Majority()
    floor.prepare(EXAMPLES)
    run = run_floor(floor, EXAMPLES, SCORING)
    assert run.mean("exact_match") == pytest.approx(2 / 3)
    assert run.mean("json_field_accuracy") == 0.0


def test_failed_wrong_missing_and_undefined_stay_four_things() -> None:
    class Answers:
        def generate(self, requests: list[ChatRequest], on_done: object) -> list[Completion]:
            wrong = Completion("wrong", "stop", 1, 1, 1.0)
            return [wrong, Completion("", "error", 1, 0, 1.0, error="out of memory"), wrong]

    asked = [example("a", "right"), example("b", "right"), example("c right", "right")]
    run = run_approach(Prompted("zero-shot", "toy"), asked, Answers(), Decoding(SCORING, 5), SilentProgress())
    wrong, failed, echoed = run.scores
    missing = Score("zero-shot", "d", "d", "missing", "", "right", {}, 0, 0, 0.0)
    assert (wrong.status, wrong.metrics["knowing"]) == ("answered", 0.0)
    assert (failed.status, set(failed.metrics.values())) == ("failed", {None})
    assert (echoed.status, echoed.metrics["exact_match"], echoed.metrics["knowing"]) == (
        "answered",
        0.0,
        None,
    )
    assert [value_of(score, "knowing") for score in (*run.scores, missing)] == [0.0, 0.0, None, 0.0]
    assert ScoredRun((*run.scores, missing), 1.0).mean("knowing") == 0.0


def test_macro_f1_is_computed_from_all_answers_and_not_averaged() -> None:
    labelled = [example(f"{n}", "ham" if n % 10 else "spam") for n in range(100)]
    floor = Majority()
    floor.prepare(labelled)
    run = run_floor(floor, labelled, choose_scoring(labelled))
    assert run.score("exact_match") == run.mean("macro_f1") == pytest.approx(0.9)
    assert run.score("macro_f1") == pytest.approx((2 * 90 / 190 + 0) / 2)


def test_scores_survive_the_run_folder() -> None:
    floor = Majority()
    floor.prepare(EXAMPLES)
    run = run_floor(floor, EXAMPLES, SCORING)
    assert ScoredRun.from_json(run.to_json()) == run


def test_answers_may_be_twice_as_long_as_the_longest_in_training(engine: LocalEngine) -> None:
    short = choose_decoding(engine, SCORING, [example("a", "four")])
    long = choose_decoding(engine, SCORING, [example("a", "four"), example("b", "l" * 60)])
    assert short.max_tokens == 5 + 20
    assert long.max_tokens == 2 * 61


def test_each_rival_is_set_up_on_validation_within_a_number_of_calls(engine: LocalEngine) -> None:
    train = [example(str(i), f"answer {i}") for i in range(6)]
    setups = list_setups(("zero-shot", "instructed", "few-shot"), list_wordings(train, "I."))
    choice = choose_prompts(
        setups,
        Shown("toy", train, 0, fits=lambda *_: True),
        EXAMPLES,
        engine,
        Decoding(SCORING, 5),
        "exact_match",
        SilentProgress(),
    )
    assert list(choice.setups) == ["zero-shot", "instructed", "few-shot"]
    assert choice.setups["instructed"].instruction == "I."
    assert choice.setups["few-shot"].num_shots in (2, 4, 8)
    assert set(choice.scores) == {setup.label for setup in setups}
    assert set(choice.ranking) == set(choice.setups)
    assert choice.best == choice.ranking[0]
    assert choice.best_without({choice.ranking[0]}) == choice.ranking[1]
    assert choice.calls == len(EXAMPLES) * len(setups)
    assert PromptChoice.from_json(json.loads(json.dumps(choice.to_json()))) == choice


def test_prompts_asked_together_answer_as_each_does_alone(engine: LocalEngine) -> None:
    prompts = [Prompted("zero-shot", "toy"), Prompted("instructed", "toy", "I.")]
    decoding, answered = Decoding(SCORING, 5), []
    together, _ = ask_together(prompts, EXAMPLES, engine, decoding, lambda: answered.append(None))
    alone = [run_approach(prompt, EXAMPLES, engine, decoding, SilentProgress()).scores for prompt in prompts]

    def told(runs: Sequence[Sequence[Score]]) -> list[list[Score]]:
        return [[replace(score, latency_ms=0.0) for score in scores] for scores in runs]

    assert told(together) == told(alone)
    assert len(answered) == 2 * len(EXAMPLES)
    assert ask_together(prompts, [], engine, decoding, lambda: None)[0] == [(), ()]


def test_choices_are_joined_by_score_and_each_keeps_its_order() -> None:
    setups = {name: PromptSetup(name) for name in ("few-shot", "zero-shot", "remote:x")}
    # zero-shot was dropped early, so its score is of fewer examples.
    base = PromptChoice(
        {n: setups[n] for n in ("zero-shot", "few-shot")}, {"few-shot": 0.5, "zero-shot": 0.9}, 48
    )
    better, equal = (PromptChoice({"remote:x": setups["remote:x"]}, {"remote:x": s}, 12) for s in (0.6, 0.5))
    assert base.joined(better).ranking == ("remote:x", "few-shot", "zero-shot")
    assert base.joined(equal).ranking == ("few-shot", "zero-shot", "remote:x")
    assert base.joined(better).calls == 60


@pytest.mark.parametrize(
    ("setups", "examples", "rounds"),
    [
        (7, 100, [(7, 12), (4, 24)]),
        (7, 20, [(7, 12), (4, 8)]),
        (7, 12, [(7, 12)]),
        (1, 3, [(1, 3)]),
        (0, 9, []),
    ],
)
def test_the_number_of_calls_that_choose_a_prompt_is_known_before(
    setups: int, examples: int, rounds: list[tuple[int, int]]
) -> None:
    assert plan_rounds(setups, examples) == rounds


def test_prompts_are_held_to_the_form_that_they_were_set_up_with(engine: LocalEngine) -> None:
    setup = PromptSetup("instructed", "Answer yes or no.", Grammar("lark", 'start: "yes" | "no"'))
    rival = build(setup, Shown("toy", EXAMPLES, 0, fits=lambda *_: True))
    run = run_approach(rival, EXAMPLES, engine, Decoding(SCORING, 9), SilentProgress())
    assert {score.answer for score in run.scores} <= {"yes", "no"}


def test_without_prompted_rivals_there_is_nothing_to_choose(engine: LocalEngine) -> None:
    choice = choose_prompts(
        [],
        Shown("toy", EXAMPLES, 0, fits=lambda *_: True),
        EXAMPLES,
        engine,
        Decoding(SCORING, 5),
        "exact_match",
        SilentProgress(),
    )
    assert choice == PromptChoice({}, {}, 0)
