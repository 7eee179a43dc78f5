"""A reason opens onto its numbers, written as people write them, and onto examples in which it is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_pages import Page
from report_samples import INPUTS, MANIFEST, SCORES, WIN, approach, score

from tunewise.records import Reason, Score, Verdict
from tunewise.report.examples import AnswerSheet
from tunewise.report.html import render_report
from tunewise.report.reasons import OpenReason, list_not_measured, open_reason
from tunewise.report.rivals import find_contest


def opened(
    code: str, evidence: dict[str, Any] | None = None, verdict: Verdict = WIN, scores: list[Score] = SCORES
) -> OpenReason:
    sheet = AnswerSheet.collect(verdict, scores, INPUTS)
    reason = Reason(code, "It is so.", evidence or {})
    manifest = {"findings": {"best_closed_book": "few-shot"}}
    return open_reason(reason, verdict, find_contest(verdict, manifest), sheet)


def test_numbers_are_written_as_what_they_are() -> None:
    evidence = {
        "gain": 0.436, "low": 0.289, "high": 0.595, "p_value": 0.0002,
        "against": {"few-shot": [0.436, 0.289, 0.595]},
        "few-shot": 0.33, "best_possible": 0.9, "visible_gain": 0.17,
        "hourly_price": 0.1, "test_examples": 39,
        "share_of_the_facts_that_training_learned": [0.2, 0.12, 0.3],
    }  # fmt: skip
    assert {fact.name: fact.value for fact in opened("any", evidence).evidence} == {
        "Gain (lower end over all rivals)": "+43.6 points (+28.9 to +59.5)",
        "p (two-sided)": "0.0002",
        "Gain over few-shot": "+43.6 points (+28.9 to +59.5)",
        "few-shot": "33.0%",
        "Best possible": "90.0%",
        "Visible gain": "+17.0 points",
        "Hourly price": "£0.10",
        "Test examples": "39",
        "Share of the facts that training learned": "20.0% (12.0–30.0%)",
    }


def test_quantiles_are_not_taken_for_an_interval() -> None:
    (fact,) = opened("any", {"gain_with_twice_the_examples": [0.01, 0.02, 0.04]}).evidence
    assert fact.value == "0.01, 0.02, 0.04"


def test_a_win_is_seen_where_only_the_tuned_model_is_right() -> None:
    (seen,) = opened("beats-every-rival").sightings
    assert (seen.words, seen.count) == ("fine-tuned is right and few-shot is not", 4)
    assert [[answer.mark for answer in case.main] for case in seen.cases] == [["right", "wrong"]] * 3


def test_an_unsure_gain_is_seen_both_ways() -> None:
    assert [(seen.words, seen.count) for seen in opened("cannot-tell").sightings] == [
        ("fine-tuned is right and few-shot is not", 4),
        ("few-shot is right and fine-tuned is not", 1),
    ]


def test_a_gain_in_form_is_seen_where_the_prompt_breaks_it_and_undefined_shows_nothing() -> None:
    form = {"a": (1.0, 0.0), "b": (1.0, 1.0), "c": (1.0, None)}
    scores = [
        score(name, example, 1.0, metrics={"exact_match": 1.0, "form": values[place]})
        for example, values in form.items()
        for place, name in enumerate(("fine-tuned", "few-shot"))
    ]
    (seen,) = opened("format-not-learned-by-prompting", scores=scores).sightings
    assert (seen.words, seen.count) == ("fine-tuned keeps the form and few-shot does not", 1)
    assert [case.id for case in seen.cases] == ["a"]


def test_knowledge_from_documents_is_seen_against_the_best_prompt_without() -> None:
    verdict = replace(
        WIN, approaches=(approach("zero-shot", 0.1), approach("few-shot", 0.2), approach("rag", 0.6)),
        best_without_training="rag",
    )  # fmt: skip
    scores = [
        score(name, "a", value, metrics={"exact_match": value, "knowing": value})
        for name, value in (("zero-shot", 1.0), ("few-shot", 0.0), ("rag", 1.0))
    ]
    (seen,) = opened("answers-live-in-documents", verdict=verdict, scores=scores).sightings
    assert seen.words == "rag says what was asked for and few-shot does not"


@pytest.mark.parametrize("code", ["cheaper-per-call", "test-size", "a-code-of-tomorrow"])
def test_what_no_single_example_shows_opens_onto_numbers_alone(code: str) -> None:
    assert opened(code).sightings == ()


def test_what_was_not_measured_is_told_in_words_and_not_among_the_numbers() -> None:
    reason = Reason("beats-every-rival", "It won.", {"not_measured": ["how steady the answers are"]})
    assert list_not_measured([reason]) == ("how steady the answers are",)
    assert opened(reason.code, reason.evidence).evidence == ()
    page = Page(render_report(replace(WIN, reasons=(reason,)), SCORES, MANIFEST, INPUTS))
    assert "Not measured how steady the answers are another training run" in page.text
