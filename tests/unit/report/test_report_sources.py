"""Which prompts were tried, what reading the data found, how to do it again: as the manifest has it."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from report_pages import Page
from report_samples import MANIFEST, SCORES, WIN

from tunewise.approaches.rivals import PromptSetup
from tunewise.evaluate.selection import PromptChoice
from tunewise.records import JSON_OBJECT
from tunewise.report.data_findings import list_data_findings
from tunewise.report.html import render_report
from tunewise.report.prompting import read_prompt_search
from tunewise.report.reproduction import list_reproduction

SETUPS = {
    "zero-shot": PromptSetup("zero-shot"),
    "few-shot": PromptSetup("few-shot", "Reply with <JSON>.", JSON_OBJECT, num_shots=4),
}
CHOICE = PromptChoice(SETUPS, {"few-shot, 4 shots": 0.4, "few-shot, 2 shots": 0.3, "zero-shot": 0.0}, 60)


def test_every_prompt_that_was_tried_is_listed_and_those_that_were_tested_are_marked() -> None:
    search = read_prompt_search(asdict(CHOICE))
    assert search is not None
    assert [(setup.label, setup.score, setup.tested) for setup in search.setups] == [
        ("few-shot, 4 shots", "40.0%", True),
        ("few-shot, 2 shots", "30.0%", False),
        ("zero-shot", "0.0%", True),
    ]
    text = Page(render_report(WIN, SCORES, {**MANIFEST, "prompting": asdict(CHOICE)})).text
    assert "3 ways of prompting, in 60 calls" in text
    assert "few-shot, 4 shots Reply with <JSON>. The engine held its answers to their form." in text
    assert "zero-shot none: the input alone" in text


@pytest.mark.parametrize(
    "value", [None, [], {}, {"scores": "none"}, {"scores": {"few-shot": 0.4}}, asdict(PromptChoice())]
)
def test_no_search_has_no_section(value: object) -> None:
    assert read_prompt_search(value) is None
    assert (
        "Which prompts were tried"
        not in Page(render_report(WIN, SCORES, {**MANIFEST, "prompting": value})).text
    )


def test_what_was_left_out_of_the_data_is_said_with_its_lines() -> None:
    manifest = {
        "data": {"duplicates_removed": 3, "respaced_removed": 2, "leaked_lines": [3, 1200]},
        "training": {"dropped_lines": [12]},
        "findings": {"disagreement": {"share": 0.06, "duplicate_groups": 31}},
    }
    assert list_data_findings(manifest) == (
        "1 exact duplicate was removed, so that none counts twice.",
        "2 repetitions of another row in other spacing were removed.",
        "2 rows (lines 3, 1,200) were left out: files set aside for choosing or testing have their inputs, "
        "near duplicates of them or rows of their groups.",
        "1 row (line 12) was left out of training, as the model cannot be trained on such.",
        "31 inputs occur more than once; of two such rows the answers differ 6.0% of the time.",
    )


def test_system_messages_that_were_kept_as_input_are_said() -> None:
    (said,) = list_data_findings({"data": {"own_system": True}})
    assert "system messages differ" in said


def test_clean_data_are_not_spoken_of() -> None:
    clean = {
        "data": {"duplicates_removed": 0, "leaked_lines": []},
        "findings": {"disagreement": {"share": 0.0, "duplicate_groups": 3}, "fact_or_skill": None},
    }
    assert list_data_findings(clean) == ()


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (["/opt/venv/bin/tunewise", "run", "my prices.jsonl"], "tunewise run 'my prices.jsonl'"),
        (["/lib/tunewise/__main__.py", "run", "a.jsonl"], "python -m tunewise run a.jsonl"),
        ("tunewise run a.jsonl", "tunewise run a.jsonl"),
        ([], "none"),
        (None, None),
    ],
)
def test_the_command_can_be_pasted_into_a_shell(command: object, written: str | None) -> None:
    assert list_reproduction({"command": command}).command == written


def test_hashes_and_versions_say_what_it_was_done_with() -> None:
    manifest = {**MANIFEST, "training": {"weights_sha256": "c" * 64}}
    manifest["data"] = {"sha256": "d" * 64, "given": {"test": {"path": "test.jsonl", "sha256": "e" * 64}}}
    again = list_reproduction(manifest)
    assert {fact.name: fact.value for fact in again.hashes} == {
        "Your examples": "d" * 64,
        "The test set's seal": "5ea1",
        "The base model's weights": "b" * 64,
        "The tuned model's weights": "c" * 64,
        "Examples given for test": "e" * 64,
    }
    assert [(fact.name, fact.value) for fact in again.versions] == [("tunewise", "0.1.0"), ("peft", "0.21.0")]
