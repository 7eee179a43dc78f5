"""What a run finds out beside its test scores, and what the verdict makes of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewise.approaches.majority import Majority
from tunewise.approaches.names import FINE_TUNED
from tunewise.approaches.rivals import PromptSetup
from tunewise.approaches.shown import Shown
from tunewise.data.dataset import read_dataset
from tunewise.data.documents import Document
from tunewise.data.duplicates import input_key
from tunewise.data.split import Split, split_examples
from tunewise.decide.compare import compare
from tunewise.decide.measurements import Findings, TrainedArm
from tunewise.decide.verdict import decide
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import Decoding, ScoredRun, run_floor
from tunewise.evaluate.selection import PromptChoice
from tunewise.evidence import Evidence
from tunewise.findings import gather_findings, tell_facts
from tunewise.models.base import BaseModel
from tunewise.records import Consistency, Example, Message, Verdict
from tunewise.retrieval.retriever import retrieve_passages
from tunewise.run_spec import RunSpec
from tunewise.settings import get_settings

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


def labelled_rows(path: Path, label: Callable[[str], str]) -> Path:
    """Questions about fruit and tools, labelled by `label` of what each is about."""
    dice, rows = random.Random(1), []
    for number in range(400):
        thing = dice.choice(("apple", "pear", "plum", "hammer", "saw", "drill"))
        question = f"Is the {thing} of {NAMES[number % 200]}{number // 200} worth keeping?"
        rows.append([{"role": "user", "content": question}, {"role": "assistant", "content": label(thing)}])
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), "utf-8")
    return path


def by_kind(thing: str) -> str:
    return "eat it" if thing in ("apple", "pear", "plum") else "use it"


def at_random(thing: str) -> str:
    return DICE.choice(("eat it", "eat it", "use it"))


class Says(Majority):
    """Stands for an approach that gives the same answer to whatever is asked."""

    def __init__(self, name: str, answer: str) -> None:
        self.name = name
        self.said = answer

    def answer(self, example: Example) -> str:
        return self.said


class Told:
    """What a run said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def find(
    data: Path,
    shown: dict[str, Any] | None = None,
    setup: PromptSetup = PromptSetup("instructed"),
    consistency: dict[str, Consistency] | None = None,
) -> tuple[Findings, Verdict, list[str]]:
    """The findings on `data` and their verdict, where nothing that was asked knows more than a floor."""
    settings = replace(get_settings(), home=data.parent)
    dataset = read_dataset(data)
    split = split_examples(dataset.examples, 0, path=data)
    scoring, test, told = choose_scoring(split.train), split.test.read("test"), Told()
    floor = Majority()
    floor.prepare(split.train)
    asked = [floor, Says(setup.rival, "eat it"), Says(FINE_TUNED, "use it")]
    runs = {approach.name: run_floor(approach, test, scoring) for approach in asked}
    found = Evidence(
        RunSpec(data=data), dataset, split, BaseModel("toy", "toy", data), "",
        Decoding(scoring, 9), Shown("toy", split.train, 0, **{"fits": lambda *_: True, **(shown or {})}),
        choice=PromptChoice({setup.rival: setup}, {setup.label: 0.5}, 0), runs=runs,
        consistency=consistency or {},
    )  # fmt: skip
    findings = gather_findings(found, settings, told)
    arm = TrainedArm(FINE_TUNED, None, 1.0)
    return findings, decide(compare(runs, replace(findings, arms=(arm,)))), told.lines


def test_labels_that_nothing_in_the_prompts_decides_are_found_by_neighbours(tmp_path: Path) -> None:
    related, verdict, _ = find(labelled_rows(tmp_path / "related.jsonl", by_kind))
    assert related.neighbours_gain is not None
    assert related.neighbours_gain > 0.3
    assert verdict.reasons[0].code == "nothing-beats-guessing"
    unrelated, verdict, _ = find(labelled_rows(tmp_path / "unrelated.jsonl", at_random))
    assert unrelated.neighbours_gain is not None
    assert unrelated.neighbours_gain < 0.03
    assert (verdict.recommendation, verdict.reasons[0].code) == ("fix-the-data", "no-relation-found")


def test_answers_that_are_no_labels_have_no_vote(tmp_path: Path) -> None:
    findings, _, _ = find(labelled_rows(tmp_path / "texts.jsonl", lambda thing: f"{thing} {DICE.random()}"))
    assert findings.neighbours_gain is None


def test_how_steady_a_prompt_was_reaches_the_verdict(tmp_path: Path) -> None:
    data = labelled_rows(tmp_path / "rows.jsonl", by_kind)
    seen = Consistency(0.5, 0.2, 1.0, 0.4, 20, 1.0)
    findings, verdict, _ = find(data, consistency={"instructed": seen})
    assert findings.consistency == {"instructed": seen}
    assert "unsteady-prompt" in [reason.code for reason in verdict.reasons]
    assert "how steady the answers are" not in verdict.reasons[0].evidence["not_measured"]
    _, verdict, _ = find(data)
    assert "how steady the answers are" in verdict.reasons[0].evidence["not_measured"]


def test_shots_without_room_are_told(tmp_path: Path) -> None:
    data = labelled_rows(tmp_path / "rows.jsonl", by_kind)
    setup = PromptSetup("few-shot", num_shots=4)
    _, _, told = find(data, {"fits": lambda messages, _: len(messages) < 9}, setup)
    assert told == ["few-shot, 4 shots: fewer shots had to do for 100% of validation inputs"]
    assert find(data, setup=setup)[2] == []


def test_passages_without_room_are_counted_and_told(tmp_path: Path) -> None:
    data = labelled_rows(tmp_path / "rows.jsonl", lambda thing: f"{thing} number {DICE.randrange(10**6)}")
    documents = [Document(f"The {thing} number {n}.", "") for n in range(40) for thing in ("apple", "saw")]
    passages = retrieve_passages(documents, None, tmp_path)

    def one_passage(messages: tuple[Message, ...], example: Example) -> bool:
        return "[2]" not in messages[-1].content

    setup = PromptSetup("rag", num_passages=2)
    tight, _, told = find(data, {"passages": passages, "fits": one_passage}, setup)
    roomy, _, told_nothing = find(data, {"passages": passages}, setup)
    assert tight.retrieval is not None
    assert roomy.retrieval is not None
    assert (tight.retrieval.shortened_share, roomy.retrieval.shortened_share) == (1.0, 0.0)
    assert told == ["passages: fewer or shorter ones had to do for 100% of validation inputs"]
    assert told_nothing == []
