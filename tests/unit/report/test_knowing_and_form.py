"""Knowing and form stand apart, and so do finding a passage and answering from it."""

from __future__ import annotations

from dataclasses import replace

from report_pages import Page
from report_samples import MANIFEST, WIN, approach, score

from tunewise.records import Score, Verdict
from tunewise.report.examples import AnswerSheet
from tunewise.report.html import render_report
from tunewise.report.knowing import describe_defined, follow_passages, tell_apart
from tunewise.report.rivals import find_contest


def test_a_failed_call_knows_nothing_and_an_undefined_value_is_left_out() -> None:
    scores = [
        score("few-shot", "a", 1.0, metrics={"exact_match": 1.0, "knowing": 1.0, "form": 0.0}),
        score("few-shot", "b", 1.0, metrics={"exact_match": 1.0, "knowing": None, "form": 0.5}),
        score("few-shot", "c", None, status="failed", metrics=dict.fromkeys(("knowing", "form"))),
    ]
    rows = {row.name: row for row in tell_apart(WIN, scores)}
    assert (rows["few-shot"].knowing.value, rows["few-shot"].form.value) == ("50.0%", "16.7%")
    assert (rows["fine-tuned"].knowing.value, rows["fine-tuned"].knowing.percent) == ("—", None)


def test_it_is_said_on_how_many_examples_knowing_and_form_are_defined() -> None:
    known = score("few-shot", "a", 1.0, metrics={"knowing": 1.0, "form": 1.0})
    echoed = score("few-shot", "b", 1.0, metrics={"knowing": None, "form": 1.0})
    text = Page(render_report(WIN, [known, echoed], MANIFEST)).text
    assert "Knowing is defined on 1 of 233 test examples, which are too few to tell" in text
    assert "Form is defined on 2." in text
    enough = [replace(known, example_id=f"{n}") for n in range(30)]
    assert "Knowing is defined on 30 of 233 test examples: the questions" in describe_defined(WIN, enough)


def test_answers_without_either_have_no_such_table() -> None:
    scores = [score("few-shot", "a", 1.0)]
    assert tell_apart(WIN, scores) == ()
    assert "What it knows" not in Page(render_report(WIN, scores, MANIFEST)).text


def with_documents() -> tuple[Verdict, list[Score]]:
    verdict = replace(WIN, approaches=(approach("few-shot", 0.2), approach("rag", 0.6)))
    right = {"rag": "1100", "few-shot": "0001"}
    scores = [
        score(name, example, float(value == "1"))
        for name, values in right.items()
        for example, value in zip("abcd", values, strict=True)
    ]
    return verdict, scores


def test_right_answers_are_counted_by_how_much_of_them_was_found() -> None:
    verdict, scores = with_documents()
    sheet = AnswerSheet.collect(verdict, scores, None)
    manifest = {"passages_hold": {"a": 1.0, "b": 1.0, "c": 0.5}}
    found = follow_passages(find_contest(verdict, manifest), sheet, manifest)
    assert found is not None
    assert found.approaches == ("rag", "few-shot")
    assert [(row.held, row.examples, [share.value for share in row.right]) for row in found.rows] == [
        ("all of it", 2, ["100.0%", "0.0%"]),
        ("part of it", 1, ["0.0%", "0.0%"]),
    ]


def test_the_page_says_how_often_the_search_found_the_answer() -> None:
    verdict, scores = with_documents()
    manifest = {
        "findings": {"retrieval": {"hit_rate": 0.78, "random_hit_rate": 0.13, "shortened_share": 0.25}}
    }
    text = Page(render_report(verdict, scores, manifest)).text
    assert "the passages found held 78.0% of what the answers say and their questions do not" in text
    assert "passages drawn at random held 13.0%. In 25.0% of the prompts there was no room" in text


def test_without_documents_nothing_is_said_of_passages() -> None:
    verdict, scores = with_documents()
    sheet = AnswerSheet.collect(verdict, scores, None)
    assert follow_passages(find_contest(verdict, MANIFEST), sheet, MANIFEST) is None
