"""The page of a check says what was found, in which rows, whatever those try."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from report_pages import HOSTILE, Page

from tunewise.data.checks.base import Problem
from tunewise.records import Example, Message
from tunewise.report.charts import histogram
from tunewise.report.check_page import MAX_ROWS_PER_PROBLEM, render_check_page

SOURCES = "what the answers say stands in the prompt (90%) or nowhere (10%)"
SPLIT = {"train": 60, "validation": 10, "test": 30}


def row(line: int, question: str = "How much is it?", answer: str = "5 zl") -> Example:
    messages = (Message("system", "Be brief."), Message("user", question), Message("assistant", answer))
    return Example(str(line), messages, line, question)


ROWS = [row(line, f"Price {line}?", "yes" if line % 3 else "no ") for line in range(1, 101)]
PROBLEMS = [
    Problem("malformed", "error", (101,), "line 101: not JSON"),
    Problem(
        "stray-space", "warning", tuple(range(3, 100, 3)), "line 3 has a turn that ends with white space"
    ),
    Problem("too-few", "note", (), "there are few examples", examined=50),
]


def render(problems: list[Problem] = PROBLEMS, rows: list[Example] = ROWS, name: str = "prices.jsonl") -> str:
    answers = "2 labels: 'yes' 67%, 'no' 33%"
    return render_check_page(name, len(rows) + 1, rows, problems, answers, SOURCES, SPLIT)


def drawings(source: str) -> dict[str, ET.Element]:
    found = [ET.fromstring(svg) for svg in re.findall(r"<svg .*?</svg>", source, re.DOTALL)]
    return {drawing.attrib["class"]: drawing for drawing in found}


def test_it_says_where_what_the_answers_say_stands() -> None:
    assert "What the answers say stands in the prompt (90%) or nowhere (10%)." in Page(render()).text


def test_it_says_whether_to_train_and_what_is_in_the_file() -> None:
    page = Page(render())
    assert page.unclosed == []
    for words in (
        "Can one train on prices.jsonl? Mend first 1 error to mend before training on 100 different",
        "Rows 101",
        "34 rows of 101 are named below.",
        "The answers: 2 labels: 'yes' 67%, 'no' 33%",
        "yes 67 67.0%",
        "no 33 33.0%",
        "train 60 60.0% validation 10 10.0% test 30 30.0%",
    ):
        assert words in page.text


def test_every_problem_says_why_it_matters_and_shows_its_first_rows() -> None:
    page = Page(render())
    assert [attrs["class"] for attrs in page.with_class("problem")] == [
        "problem card is-error",
        "problem card is-warning",
        "problem card is-note",
    ]
    assert "It cannot be trained on, and training refuses a file" in page.text
    assert (
        "warning stray-space can be fixed 33 rows line 3 has a turn that ends with white space" in page.text
    )
    assert "Lines 3, 6, 9, 12" in page.text
    assert "line 3 Prompt Price 3? Answer no" in page.text
    shown = re.findall(r"line (\d+) Prompt", page.text)
    assert shown == [str(line) for line in range(3, 3 * MAX_ROWS_PER_PROBLEM + 1, 3)]
    assert "the file as a whole there are few examples" in page.text
    assert "Found among 50 rows drawn at random." in page.text


@pytest.mark.parametrize(
    ("severities", "headline"),
    [
        ([], "is sound: nothing was found that needs mending."),
        (["note"], "is sound: nothing was found that needs mending."),
        (["warning", "note"], "is sound; it would be better with 1 warning mended."),
        (["error", "error", "warning"], "2 errors to mend before training on 100 different examples."),
    ],
)
def test_the_headline_follows_the_worst_that_was_found(severities: list[str], headline: str) -> None:
    problems = [Problem("secret", each, (1,), "") for each in severities]  # type: ignore[arg-type]
    page = Page(render(problems))
    assert headline in page.text
    assert ("Mend first" in page.text) == ("error" in severities)


def test_many_lines_and_giant_rows_are_bounded() -> None:
    rows = [row(line, "giant " * 100_000, "x" * 100_000) for line in range(1, 200)]
    source = render([Problem("too-long", "error", tuple(range(1, 200)), "m" * 10_000)], rows)
    assert "and 139 more" in source
    assert len(source) < 200_000


def test_hostile_rows_stay_text() -> None:
    rows = [row(line, HOSTILE * line, HOSTILE) for line in range(1, 30)]
    problem = Problem(HOSTILE, "error", tuple(range(1, 31)), HOSTILE, HOSTILE)
    source = render_check_page(HOSTILE, 30, rows, [problem], HOSTILE, SOURCES, SPLIT)
    page = Page(source)
    assert page.unclosed == []
    assert page.tags().isdisjoint({"script", "img", "iframe", "object", "embed", "link", "form"})
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "<script>alert(1)</script>" in page.text
    source.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", source)
    assert drawings(source).keys() == {
        "chart-answers",
        "chart-lengths-of-answers",
        "chart-lengths-of-prompts",
        "chart-split",
    }


def test_nothing_is_loaded_and_links_point_at_something() -> None:
    source = render()
    page = Page(source)
    assert "default-src 'none'" in source
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        assert attrs.keys().isdisjoint({"src", "srcset", "xlink:href", "data", "action", "poster"})
        assert (attrs.get("href") or "#").startswith("#")
        wanted = [(attrs.get("href") or "#")[1:], *(attrs.get("aria-labelledby") or "").split()]
        assert {name for name in wanted if name} <= set(ids)


def test_a_file_without_usable_rows_has_a_page_too() -> None:
    page = Page(render_check_page("x", 1, [], [PROBLEMS[0]], "none", None, None))
    assert page.unclosed == []
    assert "too few, or too much alike" in page.text


def test_a_histogram_counts_every_row_and_holds_the_far_end_in_its_last_bar() -> None:
    drawing = ET.fromstring(histogram("lengths", [*range(1, 200), 100_000], "Lengths", "characters") or "")
    bars = [float(bar.attrib["height"]) for bar in drawing.iter("rect")]
    texts = [text.text for text in drawing.iter("text")]
    assert texts == ["7 rows", "0", "198 and more characters"]
    assert len(bars) == 29
    tallest = max(bars)
    assert round(sum(7 * bar / tallest for bar in bars)) == 200
    assert (drawing.findtext("desc") or "").startswith(
        "Half have up to 100 characters; the longest has 100,000."
    )
    assert histogram("lengths", [], "Lengths", "characters") is None
    assert histogram("lengths", [0, 0], "Lengths", "characters")


def test_a_row_that_holds_a_secret_is_named_and_shown_nowhere() -> None:
    key = "ghp_" + "a1B2" * 9
    rows = [row(1, f"My key {key} fails. "), row(2, "Another question ")]
    problems = [
        Problem("secret", "error", (1,), "line 1 holds what looks like a secret"),
        Problem("stray-space", "warning", (1, 2), "line 1 has a turn that ends with white space"),
    ]
    shown = render(problems, rows)
    assert key not in shown
    assert "Another question" in shown
    assert "line 1 holds what looks like a secret" in Page(shown).text
