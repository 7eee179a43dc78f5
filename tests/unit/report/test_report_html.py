"""The report says the numbers it was given, whatever the data tries, and stands on its own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import pytest
from report_pages import HOSTILE, Page
from report_samples import APPROACHES, INPUTS, KEEP, MANIFEST, SCORES, UNTUNED, WIN, approach, score

from tunewise.approaches.rivals import PromptSetup
from tunewise.records import Reason, Score, Verdict
from tunewise.report.examples import MAX_ROWS, AnswerSheet, SideBySide, compare_examples
from tunewise.report.facts import describe_price, list_facts, list_stages, list_test_reads
from tunewise.report.html import render_report
from tunewise.report.rivals import find_contest
from tunewise.report.tables import build_rows, list_savings
from tunewise.report.wording import NOTHING


def parse(verdict: Verdict = WIN, scores: list[Score] = SCORES, manifest: object = MANIFEST) -> Page:
    page = Page(render_report(verdict, scores, manifest, INPUTS))  # type: ignore[arg-type]
    assert page.unclosed == []
    return page


def side_by_side(scores: list[Score]) -> SideBySide:
    return compare_examples(find_contest(WIN, MANIFEST), AnswerSheet.collect(WIN, scores, None))


def drawings(source: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg class=.*?</svg>(?=\s*<ul)", source, re.DOTALL)]


def test_a_win_shows_the_sentence_its_label_and_the_numbers_it_was_given() -> None:
    text = parse().text
    for words in (
        "Fine-tune: 92% right, the best prompt 23%.",
        "Tuned model 92.0% against 23.0% for the best prompt, few-shot",
        "Next: Use the tuned model.",
        "Gain from training +69.0 points 95% interval +62.1 to +75.1",
        "Test examples 233",
        "Cost of training £0.01 at an assumed price",
        "Ready to use as ft:smollm2-135m-instruct:local:prices:4fj2x9",
        "1,712 calls until the savings have paid for the training",
        "181.1 fewer tokens per call than with the best prompt",
        "£0.082 less per 1,000 calls",
        "Every cost here is measured time at £0.10 an hour, which is an assumption",
        "scoring few-shot 2026-09-21 14:16:50 UTC",
        "scoring fine-tuned noon",
        "Seed 1234567",
        "Smallest gain it was planned to see 8.3 points",
        "tunewise run prices.jsonl --seed 1234567",
    ):
        assert words in text


def test_what_stands_between_backticks_is_shown_as_code() -> None:
    reason = Reason("training-cut-short", f"Raise `--max-minutes` for more `{HOSTILE}`.", {})
    page = parse(replace(WIN, reasons=[reason]))
    assert "Raise --max-minutes for more" in page.text
    assert "<code>--max-minutes</code>" in render_report(
        replace(WIN, reasons=[reason]), SCORES, MANIFEST, INPUTS
    )
    assert not page.tags() & {"script", "img"}
    lone = Reason("training-cut-short", "One ` alone stays.", {})
    assert "One ` alone stays." in parse(replace(WIN, reasons=[lone])).text


def test_every_row_of_the_table_carries_its_numbers() -> None:
    few_shot = build_rows(WIN, SCORES)[2]
    assert (few_shot.score, few_shot.interval, few_shot.answered) == ("23.0%", "18.1–28.8%", "8")
    assert (few_shot.input_tokens, few_shot.output_tokens, few_shot.cost) == ("212.4", "17.0", "£0.11")
    assert few_shot.is_best_untrained
    floor = build_rows(WIN, SCORES)[0]
    assert (floor.kind, floor.input_tokens, floor.latency_ms) == ("floor", "—", "—")


def test_latency_is_the_median_over_answered_calls() -> None:
    scores = [
        score("few-shot", "a", 1.0, latency_ms=100.0),
        score("few-shot", "b", 1.0, latency_ms=120.0),
        score("few-shot", "c", 1.0, latency_ms=9000.0),
        score("few-shot", "d", None, status="failed", latency_ms=1.0),
    ]
    assert build_rows(WIN, scores)[2].latency_ms == "120"


def test_an_approach_whose_score_is_undefined_has_none_in_the_table_and_no_bar() -> None:
    undefined = [score("few-shot", "e1", None), score("few-shot", "e2", None)]
    scores = [*undefined, score("majority", "e1", 0.0), score("fine-tuned", "e1", 1.0)]
    rows = {row.name: row for row in build_rows(WIN, scores)}
    assert (rows["few-shot"].score, rows["few-shot"].interval) == ("no score", NOTHING)
    assert rows["majority"].score == "2.0%", "which a wrong answer does have"
    chart, *_ = drawings(render_report(WIN, scores, MANIFEST, INPUTS))
    labels = [text.text for text in chart.iter() if text.tag.endswith("text")]
    assert "fine-tuned" in labels
    assert "few-shot" not in labels


def test_undefined_failed_and_missing_are_three_things() -> None:
    scores = [
        score("few-shot", "a", 1.0),
        score("few-shot", "b", 0.0),
        score("few-shot", "c", None),
        score("few-shot", "d", None, status="failed", answer=""),
        score("few-shot", "e", None, status="missing", answer=""),
    ]
    verdict = replace(UNTUNED, approaches=(approach("few-shot", 0.5, answered=3, failed=1),))
    (row,) = build_rows(verdict, scores)
    assert (row.answered, row.failed, row.missing) == ("3", "1", "1")
    assert [(measure.value, measure.undefined) for measure in row.measures] == [("50.0%", 1)]
    page = parse(verdict, scores)
    assert "1 undefined" in page.text
    assert {mark["class"] for mark in page.with_class("mark")} == {
        "mark right",
        "mark wrong",
        "mark undefined",
        "mark failed",
        "mark missing",
    }
    for word in ("✓ right", "✗ wrong", "– undefined", "! failed", "· not asked"):
        assert word in page.text


def test_a_metric_that_is_never_defined_has_no_mean() -> None:
    (row,) = build_rows(replace(WIN, approaches=APPROACHES[2:3]), [score("few-shot", "a", None)])
    assert (row.measures[0].value, row.measures[0].undefined) == ("—", 1)


def test_a_metric_of_the_whole_set_is_computed_from_all_answers() -> None:
    labelled = [
        score(
            "few-shot",
            str(n),
            1.0,
            answer="ham",
            expected="spam" if n == 0 else "ham",
            metrics={"macro_f1": 1.0},
        )
        for n in range(10)
    ]
    (row,) = build_rows(replace(WIN, approaches=APPROACHES[2:3]), labelled)
    assert row.measures[0].value == "47.4%"


def test_keep_prompting_says_that_there_may_be_no_gain() -> None:
    text = parse(KEEP).text
    assert "Keep prompting" in text
    assert (
        "−0.4 points 95% interval −2.1 to +1.7, the low end over every rival, so perhaps no gain at all"
        in text
    )
    assert "Not on cost" in text
    assert "Trained but not put into use" in text


def test_without_a_tuned_model_the_best_prompt_and_floor_stand_in() -> None:
    page = parse(UNTUNED)
    assert "Best prompt 23.0% few-shot, 95% interval 18.1–28.8%" in page.text
    assert "Best floor 10.0%" in page.text
    assert "nothing was trained" in page.text
    assert "Best prompt wrong 5" in page.text
    assert "break-even" not in page.text


def test_no_approach_at_all_is_said() -> None:
    verdict = replace(UNTUNED, recommendation="fix-the-data", approaches=(), best_without_training=None)
    page = parse(verdict, [], {})
    assert "No approach was measured." in page.text
    assert "svg" not in page.tags()


@pytest.mark.parametrize("tuned", ["fine-tuned-rag", "fine-tuned"])
def test_of_two_tuned_models_the_one_that_the_verdict_is_about_is_shown(tuned: str) -> None:
    # A guard may have stopped the one that was trained with documents: then it is about a model to keep from.
    rows = (*APPROACHES, approach("fine-tuned-rag", 0.95), approach("rag", 0.6))
    models = {"fine-tuned": "ft:plain", "fine-tuned-rag": "ft:with-documents"}
    verdict = replace(WIN, recommendation="keep-prompting", approaches=rows, model=models[tuned])
    contest = find_contest(verdict, {"models": models})
    assert contest.tuned is not None
    assert contest.tuned.name == tuned


def test_rag_is_not_called_a_prompt() -> None:
    verdict = replace(WIN, approaches=(*APPROACHES, approach("rag", 0.6)), best_without_training="rag")
    assert "against 60.0% for the best without training, rag" in parse(verdict).text


def test_a_dearer_tuned_model_is_said_to_cost_more() -> None:
    dear = approach("fine-tuned", 0.92, input_tokens_per_call=300.0, cost_per_1000_calls=0.2)
    verdict = replace(KEEP, approaches=(*APPROACHES[:3], dear))
    savings = {
        saving.what.split(" than ")[0]: saving.value
        for saving in list_savings(verdict, find_contest(verdict, MANIFEST))
    }
    assert savings["more tokens per call"] == "87.6"
    assert savings["more per 1,000 calls"] == "£0.088"


REMOTE = approach("remote:gpt-x", 0.6, cost_per_1000_calls=None)
WITH_REMOTE = replace(WIN, approaches=(*APPROACHES, REMOTE), best_without_training="remote:gpt-x")


def test_a_cost_that_is_not_known_is_said_and_never_nothing() -> None:
    row = build_rows(WITH_REMOTE, SCORES)[-1]
    assert (row.cost, row.kind) == (NOTHING, "prompt")
    unknown, fewer = list_savings(WITH_REMOTE, find_contest(WITH_REMOTE, MANIFEST))
    assert unknown.value == "Not known"
    assert "tokens per call" in fewer.what
    spec = {"spec": {"approaches": ["majority", "remote:gpt-x"]}}
    assert (
        "What calls of remote:gpt-x cost is not known: set TUNEWISE_PRICE_IN"
        in parse(WITH_REMOTE, manifest=MANIFEST | spec).text
    )


def test_what_tokens_of_another_machine_cost_stands_beside_the_hour_of_this_one() -> None:
    manifest = {
        "spec": {"approaches": ["majority", "remote:gpt-x"]},
        "findings": {"token_prices": {"remote:gpt-x": {"input": 0.25, "output": 2.0}}},
        "hourly_price": 0.1,
    }
    assert describe_price(manifest, "GBP") == (
        "Calls of remote:gpt-x cost £0.25 for a million tokens read and £2.00 for a million written, "
        "which come on top of the machine time below. "
        "Every other cost here is measured time at £0.10 an hour, the price you set."
    )


def test_reasons_stand_in_the_verdicts_order_with_their_numbers() -> None:
    page = parse()
    assert page.text.index("Training beat") < page.text.index("Calls are shorter.")
    for words in (
        "few-shot 23.2%",
        "Gain · Low 62.1%",
        "Shares 0.41, 1",
        "Known none",
        "Gain at double 0.011",
    ):
        assert words in page.text


def test_the_filter_counts_each_outcome() -> None:
    text = parse().text
    for words in (
        "All 8",
        "Only the tuned model right 4",
        "Only the best prompt right 1",
        "Both wrong 1",
        "Both right 2",
    ):
        assert words in text


def test_large_test_sets_are_sampled_with_every_outcome_represented() -> None:
    names = {"few-shot": 0, "fine-tuned": 1}
    # 500 examples; the rare outcomes have three each.
    outcomes = ["01"] * 491 + ["10"] * 3 + ["00"] * 3 + ["11"] * 3
    scores = [
        score(name, f"example-{index}", float(outcome[place]))
        for index, outcome in enumerate(outcomes)
        for name, place in names.items()
    ]
    shown = side_by_side(scores)
    assert (shown.total, len(shown.cases)) == (500, MAX_ROWS)
    assert [(kind.code, kind.total, kind.shown) for kind in shown.outcomes] == [
        ("tuned-only", 491, 51),
        ("rival-only", 3, 3),
        ("neither", 3, 3),
        ("both", 3, 3),
    ]
    assert side_by_side(scores[::-1]) == shown


def test_partly_right_is_neither_right_nor_wrong() -> None:
    scores = [score("few-shot", "a", 0.625), score("fine-tuned", "a", 1.0)]
    (case,) = side_by_side(scores).cases
    assert case.outcome == "tuned-only"
    assert [(answer.mark, answer.word) for answer in case.main] == [
        ("right", "right"),
        ("partly", "62.5% right"),
    ]
    assert [answer.mark for answer in case.others] == ["missing", "missing"]


def hostile_page() -> tuple[str, Page]:
    approaches = (*APPROACHES[:3], replace(APPROACHES[3], name="fine-tuned" + HOSTILE))
    verdict = replace(
        WIN,
        headline=HOSTILE,
        model=HOSTILE,
        approaches=approaches,
        reasons=(
            Reason("beats-every-rival", HOSTILE, {HOSTILE: {HOSTILE: HOSTILE}, "list": [HOSTILE]}),
            Reason(HOSTILE, HOSTILE, {"not_measured": [HOSTILE]}),
        ),
        currency=HOSTILE,
    )
    scores = [
        replace(
            one,
            approach=one.approach + (HOSTILE if one.approach == "fine-tuned" else ""),
            example_id=one.example_id + HOSTILE,
            answer=HOSTILE * 200,
            expected=HOSTILE,
            metrics={**one.metrics, HOSTILE: 0.5},
        )
        for one in SCORES
    ]
    keys = ("data", "split", "base", "spec", "versions", "training", "timings")
    manifest = {key: {HOSTILE: HOSTILE, "sha256": HOSTILE} for key in keys}
    manifest |= {"timings": {HOSTILE: 3.0}, "hourly_price": 0.1}  # type: ignore[dict-item]
    setups = {HOSTILE: asdict(PromptSetup(HOSTILE, HOSTILE, note=HOSTILE))}
    manifest |= {"prompting": {"setups": setups, "scores": {HOSTILE: 0.5}, "calls": 3}}
    manifest |= {"command": HOSTILE, "seed": HOSTILE, "test_reads": [{"purpose": HOSTILE, "at": HOSTILE}]}  # type: ignore[dict-item]
    inputs = {one.example_id: HOSTILE * 500 for one in scores}
    source = render_report(verdict, scores, manifest, inputs)
    return source, Page(source)


def test_hostile_text_stays_text() -> None:
    source, page = hostile_page()
    assert page.unclosed == []
    assert page.tags().isdisjoint({"script", "img", "iframe", "object", "embed", "link", "form"})
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "<script>alert(1)</script>" in page.text
    assert "{{7*7}}" in page.text
    assert "gnp.exe" in page.text
    source.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", source)
    assert len(source) < 1_500_000
    assert len(drawings(source)) == 1


@pytest.mark.parametrize("verdict", [WIN, KEEP, UNTUNED])
def test_nothing_is_loaded_and_no_script_runs(verdict: Verdict) -> None:
    source = render_report(verdict, SCORES, MANIFEST, INPUTS)
    page = Page(source)
    assert page.tags().isdisjoint(
        {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "base"}
    )
    for _, attrs in page.elements:
        assert attrs.keys().isdisjoint({"src", "srcset", "xlink:href", "data", "action", "poster"})
        assert (attrs.get("href") or "#").startswith("#")
    style = source[source.index("<style>") : source.index("</style>")]
    assert "@import" not in style
    assert set(re.findall(r"url\((.*?)\)", style)) == {"#floor-hatch"}
    assert "default-src 'none'" in source


def test_links_and_labels_point_at_something() -> None:
    elements = parse().elements
    ids = [attrs["id"] for _, attrs in elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in elements:
        wanted = [
            (attrs.get("href") or "#")[1:],
            attrs.get("for") or "",
            *(attrs.get("aria-labelledby") or "").split(),
        ]
        assert {name for name in wanted if name} <= set(ids)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render_report(WIN, SCORES, MANIFEST, INPUTS) == render_report(WIN, SCORES, MANIFEST, dict(INPUTS))


def test_without_inputs_the_example_is_named() -> None:
    assert "example e3" in Page(render_report(WIN, SCORES, MANIFEST)).text


@pytest.mark.parametrize("missing", [*MANIFEST, "everything"])
@pytest.mark.parametrize("wrong", [None, 3, "text", [1, None], {"odd": {"er": [None]}}])
def test_a_manifest_that_lacks_or_garbles_a_key_still_gives_a_report(missing: str, wrong: object) -> None:
    if missing == "everything":
        parse(WIN, SCORES, {})
        parse(WIN, SCORES, dict.fromkeys(MANIFEST, wrong))
        return
    parse(WIN, SCORES, {key: value for key, value in MANIFEST.items() if key != missing})
    parse(WIN, SCORES, {**MANIFEST, missing: wrong})


def test_what_the_manifest_holds_is_listed_and_what_it_lacks_is_not() -> None:
    sections = {
        section.title: {row.name: row.value for row in section.rows} for section in list_facts(MANIFEST)
    }
    assert sections["Your examples"]["Usable examples"] == "1,136"
    assert sections["The base model"] == {"Model": "smollm2-135m-instruct"}
    assert sections["Settings"] == {"Seed": "1234567", "Learning rate": "0.001", "Modules": "q_proj, v_proj"}
    assert "Curve" not in sections["The training"]
    nested = {"spec": {"training": {"rank": 16, "start": None}}}
    assert [(row.name, row.value) for row in list_facts(nested)[0].rows] == [("Training · Rank", "16")]
    assert list_facts({"data": {"rows": 5, "sha256": None}})[0].rows[0].value == "5"
    assert list_facts({}) == ()
    assert list_test_reads({"test_reads": "never"}) == ()


def test_stages_cost_their_seconds_times_the_price() -> None:
    stages = {stage.name: (stage.time, stage.cost) for stage in list_stages(MANIFEST, "EUR")}
    assert stages["Check"] == ("1.2 s", "less than €0.0001")
    assert stages["Training"] == ("5 min 1 s", "€0.0084")
    assert stages["Evaluation"] == ("1 h 1 min", "€0.10")
    assert stages["Together"] == ("1 h 6 min", "€0.11")


def test_the_page_draws_scores_and_losses() -> None:
    scores, losses = drawings(render_report(WIN, SCORES, MANIFEST, INPUTS))
    assert (scores.get("class"), losses.get("class")) == ("chart-scores", "chart-loss")
