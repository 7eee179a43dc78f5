"""What `--fix` mends in a text, and what it leaves because somebody may have meant it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunewise.data.fixes import (
    TEXT_FIXES,
    fix_turns,
    remove_byte_order_mark,
    strip_turn,
    undo_mojibake,
    unescape_entities,
)


def chat(*contents: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant") * len(contents)
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"messages": turns, **more}


def contents(row: dict[str, Any]) -> list[str]:
    return [turn["content"] for turn in row["messages"]]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("cafÃ©", "café"),
        ('{"amount": 5, "currency": "zÅ‚"}', '{"amount": 5, "currency": "zł"}'),
        ("itâ€™s", "it’s"),
        ("Â£10", "£10"),
        ("ÃƒÂ©", "é"),  # Twice.
    ],
)
def test_utf8_that_was_read_as_something_else_is_read_aright(text: str, mended: str) -> None:
    assert undo_mojibake(text) == mended


@pytest.mark.parametrize(
    "text",
    [
        "café",
        "naïve 中文",
        "IL Y MARQUÉ…",
        "Â",
        "Ã la carte",  # A byte is lost: it may have been "à".
        "cafÃ© in 中文",  # Only a part of the text went wrong.
        "2 × 3 – “quoted”",
        "x√≤3 and √±",  # As a Mac would show ò and ñ.
    ],
)
def test_other_text_is_not_taken_for_mojibake(text: str) -> None:
    assert undo_mojibake(text) == text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("AT&amp;T", "AT&T"),
        ("it&#39;s &pound;5", "it's £5"),
        ("caf&eacute; &#x2014; open", "café — open"),
        ("see https://a.example/?a=1&amp;copy=2", "see https://a.example/?a=1&copy=2"),
        ("3 &lt; 5", "3 < 5"),
        ('{"name": "AT&amp;T",  "n": 1.0}', '{"name": "AT&T",  "n": 1.0}'),
    ],
)
def test_entities_in_prose_and_in_the_strings_of_json_are_decoded(text: str, mended: str) -> None:
    assert unescape_entities(text) == mended


@pytest.mark.parametrize(
    "text",
    [
        "a=1&copy=2; b",
        "R&D; Q&A; &notit;",
        "&amp;",
        '{"entity": "&amp;"}',
        "<p>Fish &amp; chips</p>",
        "&lt;b&gt;bold&lt;/b&gt;",
        "write &amp;lt; for it",
        "`a &amp;&amp; b`",
        's.replace("&amp;", x)',
        "if (a &lt; b) { return }",
        '{"said": "&quot;no&quot;"}',
        "a&shy;b &amp; c",
        "a &#0; b",
    ],
)
def test_entities_that_may_be_meant_stay(text: str) -> None:
    assert unescape_entities(text) == text


@pytest.mark.parametrize(
    "question", ["What is the HTML entity of an ampersand?", "Escape this: Fish & chips", "<h1>R&amp;D</h1>"]
)
def test_no_entity_is_decoded_where_the_conversation_is_about_markup(question: str) -> None:
    row = chat(question, "Fish &amp; chips")
    assert fix_turns(row, TEXT_FIXES) == (row, ())


def test_only_the_blanks_around_a_turn_go() -> None:
    assert strip_turn(' \n{"a":  1} \n') == '{"a":  1}'
    assert strip_turn("\N{NO-BREAK SPACE}positive\t") == "positive"
    assert strip_turn(" one\ntwo\n") == "one\ntwo"


def test_a_first_line_that_is_indented_as_others_are_keeps_its_indentation() -> None:
    assert strip_turn("\n\n    if x:\n        return\n") == "    if x:\n        return"


def test_a_byte_order_mark_goes_and_line_ends_stay() -> None:
    assert remove_byte_order_mark("\ufeffa\r\nb\ufeff") == "a\r\nb\ufeff"


def test_no_text_is_decoded_anew_where_the_conversation_is_about_encodings() -> None:
    row = chat("Which encoding went wrong here?", "cafÃ© was UTF-8")
    assert fix_turns(row, TEXT_FIXES) == (row, ())


def test_one_fix_makes_way_for_the_next_and_every_step_is_told() -> None:
    row, changes = fix_turns(chat("q", "Caf&Atilde;&copy;&nbsp;"), TEXT_FIXES)
    assert contents(row) == ["q", "Café"]
    assert [(change.code, change.where, change.after) for change in changes] == [
        ("html-entity", "messages[1]", "CafÃ©\N{NO-BREAK SPACE}"),
        ("stray-space", "messages[1]", "CafÃ©"),
        ("mojibake", "messages[1]", "Café"),
    ]


def test_only_the_chosen_fixes_are_applied() -> None:
    row, changes = fix_turns(chat(" AT&amp;T ", "ok "), ["stray-space"])
    assert contents(row) == ["AT&amp;T", "ok"]
    assert {change.code for change in changes} == {"stray-space"}


def test_everything_else_of_a_row_is_kept() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": " &amp; "}}}
    row = {
        "id": 7,
        "messages": [
            {"role": "user", "content": "hi "},
            {"role": "assistant", "content": None, "tool_calls": [call], "weight": 0},
            {"role": "tool", "content": " 21 &amp; cafÃ© \n", "tool_call_id": "c1"},
            {"role": "assistant", "content": "21"},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "parallel_tool_calls": False,
    }
    fixed, _ = fix_turns(row, TEXT_FIXES)
    expected = json.loads(json.dumps(row))
    expected["messages"][0]["content"] = "hi"
    assert fixed == expected
    assert row["messages"][0]["content"] == "hi "  # What was given is not written to.


def test_deeply_nested_json_is_left_alone() -> None:
    text = "[" * 3000 + '"&amp; x"' + "]" * 3000
    assert unescape_entities(text) == text


def test_a_fix_never_empties_a_turn() -> None:
    row = chat("\ufeff", "x")
    assert fix_turns(row, TEXT_FIXES) == (row, ())


PIECES = [
    "&amp;", "&lt;", "&nbsp;", "&quot;", "&#39;", "&#0;", "&Atilde;&copy;", "&", ";", "amp;", "html", "<b",
    "{", '{"a": "', '"}', "x", "\\", "Ã©", "â€™", "Â", "\ufeff", "é", " ", "\n", "    ", "\r\n",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=8).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=4))
@example(["a", "Ã©html &amp; b"])
def test_what_was_fixed_once_has_nothing_left_to_fix(texts: list[str]) -> None:
    fixed, _ = fix_turns(chat(*texts), TEXT_FIXES)
    assert fix_turns(fixed, TEXT_FIXES) == (fixed, ())


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(), st.one_of(TEXTS, st.integers(), st.lists(TEXTS)), min_size=1))
def test_json_stays_json_of_the_same_form(value: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        row, _ = fix_turns(
            chat("q", json.dumps(value, ensure_ascii=ascii_only)), ["html-entity", "stray-space"]
        )
        mended = json.loads(contents(row)[1])
        assert [type(inner) for inner in mended.values()] == [type(inner) for inner in value.values()]
