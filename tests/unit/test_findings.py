"""Facts that stand in no prompt are told from skills, by the prompts and by what a tuned model learned."""

from __future__ import annotations

import random

import pytest

from tunewise.approaches.majority import Majority
from tunewise.approaches.names import FINE_TUNED
from tunewise.data.duplicates import input_key
from tunewise.data.split import Split, split_examples
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import ScoredRun, run_floor
from tunewise.findings import tell_facts
from tunewise.records import Example, Message

DICE = random.Random(0)
NAMES = ["".join(DICE.choices("abcdefghiklmnoprstuvwy", k=8)) for _ in range(200)]
YEARS = [str(DICE.randrange(1000, 9999)) for _ in NAMES]


def split_of(questions: list[str], answers: list[str]) -> Split:
    rows = []
    for line, (question, answer) in enumerate(zip(questions, answers, strict=True), start=1):
        messages = (Message("user", question), Message("assistant", answer))
        rows.append(Example(f"{line:016}", messages, line, input_key(messages[:-1])))
    return split_examples(rows, 0, path="")


class Answers(Majority):
    """Stands for a tuned model that answers so."""

    name = FINE_TUNED

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def answer(self, example: Example) -> str:
        return self.answers[example.id]


def measured(split: Split, tuned: dict[str, str]) -> dict[str, ScoredRun]:
    test, scoring = split.test.read("test"), choose_scoring(split.train)
    majority = Majority()
    majority.prepare(split.train)
    return {floor.name: run_floor(floor, test, scoring) for floor in (majority, Answers(tuned))}


def test_facts_stand_in_no_prompt_and_are_guessed() -> None:
    split = split_of([f"When was {name} founded?" for name in NAMES], YEARS)
    guesses = {row.id: DICE.choice(YEARS) for row in split.test.read("test")}
    seen = tell_facts(split, measured(split, guesses), ["majority"], "exact_match", 0)
    assert seen is not None
    assert seen.own_auc == pytest.approx(0.5, abs=0.1)
    assert seen.own_coverage < 0.1
    assert seen.distinct_answers > 100
    assert seen.gap_closed is not None
    assert seen.gap_closed.high < 0.35
    assert seen.near_miss is not None
    assert seen.near_miss < 0.15


def test_what_is_copied_from_its_prompt_is_a_skill() -> None:
    questions = [f"{name} was founded in {year}. When?" for name, year in zip(NAMES, YEARS, strict=True)]
    split = split_of(questions, YEARS)
    seen = tell_facts(split, measured(split, {row.id: row.answer for row in split.test.read("test")}),
                      ["majority"], "exact_match", 0)  # fmt: skip
    assert seen is not None
    assert seen.own_auc > 0.9
    # What the prompt holds is not known but copied, so nothing is told of knowledge.
    assert seen.gap_closed is None


def test_labels_do_not_tell_whose_prompt_is_whose() -> None:
    split = split_of([f"Is {name} good?" for name in NAMES], [("yes", "no")[len(name) % 2] for name in NAMES])
    assert tell_facts(split, {}, [], "exact_match", 0) is None


def test_without_a_tuned_model_prompts_alone_are_looked_at() -> None:
    split = split_of([f"When was {name} founded?" for name in NAMES], YEARS)
    seen = tell_facts(split, {}, ["majority"], "exact_match", 0)
    assert seen is not None
    assert (seen.gap_closed, seen.near_miss) == (None, None)
