"""A cleaned copy beside the user's file: what is in it, what its log says, and what is never overwritten."""

from __future__ import annotations

import gzip
import json
import math
import os
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import CheckedData, Problem
from tunewise.data.clean_file import CleanFile, log_of
from tunewise.data.reading import Reading
from tunewise.data.repair import RepairSpec, leave_alone, repair
from tunewise.data.sources import read_examples, scan_examples
from tunewise.errors import DataError, RequestError, SpecError
from tunewise.store.files import read_jsonl

FIX = RepairSpec(fix=True)


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **more}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "clean.jsonl"


def write(path: Path, rows: list[Any]) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def find(data: Path) -> list[Problem]:
    scan = scan_examples(data)
    checked = CheckedData(data, scan.examples, scan.rejected)
    rejected = [Problem(row.code, "error", (row.line,), row.reason) for row in scan.rejected]
    return [problem for check in ALL_CHECKS for problem in check.find(checked)] + rejected


def fix(data: Path, out: Path, spec: RepairSpec = FIX) -> CleanFile:
    return repair(data, out, find(data), spec)


def test_fixing_mends_what_needs_no_guess_and_writes_down_every_change(data: Path, out: Path) -> None:
    rows = [chat("a", "b", topic=1), chat("AT&amp;T?", " yes"), chat("a", "b", topic=2), chat("cafÃ©", "ok")]
    write(data, rows)
    before = data.read_bytes()
    clean = fix(data, out)
    assert read_jsonl(out) == [rows[0], chat("AT&T?", "yes"), chat("café", "ok")]
    assert read_jsonl(log_of(out)) == [
        {"line": 2, "code": "html-entity", "where": "messages[0]", "before": "AT&amp;T?", "after": "AT&T?"},
        {"line": 2, "code": "stray-space", "where": "messages[1]", "before": " yes", "after": "yes"},
        {"line": 3, "code": "exact-duplicate", "where": "row", "before": "b", "after": None},
        {"line": 4, "code": "mojibake", "where": "messages[0]", "before": "cafÃ©", "after": "café"},
    ]
    assert clean.describe() == (
        f"{out}: 3 rows; 1 dropped (exact-duplicate), 1 mended (html-entity), 1 mended (stray-space), "
        "1 mended (mojibake)"
    )
    assert data.read_bytes() == before


def test_rows_without_problems_come_out_byte_for_byte(out: Path) -> None:
    data = Path(__file__).parents[3] / "examples" / "prices.jsonl"
    fix(data, out, RepairSpec(fix=True, keep=("exact-duplicate", "stray-space")))
    assert out.read_bytes() == data.read_bytes()
    assert log_of(out).read_bytes() == b""


def test_rows_that_become_the_same_by_being_mended_are_duplicates(data: Path, out: Path) -> None:
    write(data, [chat("a", "b "), chat("a", " b")])
    assert fix(data, out).rows == 1
    assert [entry["line"] for entry in read_jsonl(log_of(out))] == [1, 2]


def test_byte_order_mark_and_carriage_returns_do_not_come_along(data: Path, out: Path) -> None:
    data.write_bytes(b"\xef\xbb\xbf" + json.dumps(chat("a", "b")).encode() + b"\r\n\r\n")
    fix(data, out)
    assert out.read_bytes() == json.dumps(chat("a", "b")).encode() + b"\n"


def test_what_is_to_be_kept_is_left_alone(data: Path, out: Path) -> None:
    rows = [chat("a", "b "), chat("a", "b "), chat("x &amp; y", "b ")]
    write(data, rows)
    fix(data, out, RepairSpec(fix=True, keep=("stray-space", "exact-duplicate")))
    assert read_jsonl(out) == [*rows[:2], chat("x & y", "b ")]


def test_rows_with_a_problem_can_be_dropped_without_fixing_any(data: Path, out: Path) -> None:
    rows = [chat("a", "b "), chat("c", "d"), "{", chat("a", "b ")]
    write(data, rows)
    clean = fix(data, out, RepairSpec(drop=("exact-duplicate", "malformed")))
    assert read_jsonl(out) == rows[:2]
    assert clean.dropped == {"exact-duplicate": 1, "malformed": 1}
    assert [(entry["line"], entry["code"]) for entry in read_jsonl(log_of(out))] == [
        (3, "malformed"),
        (4, "exact-duplicate"),
    ]


def test_rows_that_cannot_be_used_stay_until_they_are_dropped(data: Path, out: Path) -> None:
    rows = ["{", '{"messages": []}', json.dumps(chat("a", "b"))]
    write(data, rows)
    fix(data, out)
    assert out.read_text("utf-8").splitlines() == rows


def test_a_row_that_is_no_text_has_to_be_dropped(data: Path, out: Path) -> None:
    data.write_bytes(b"\xff\n" + json.dumps(chat("a", "b")).encode())
    with pytest.raises(DataError, match=r"data.jsonl:1: .*--drop malformed"):
        fix(data, out)
    assert not out.exists()
    assert fix(data, out, RepairSpec(fix=True, drop=("malformed",))).rows == 1


def test_half_a_surrogate_pair_in_a_field_of_the_user_survives(data: Path, out: Path) -> None:
    write(data, [chat("a", "b ", note="\ud800")])
    fix(data, out)
    assert read_jsonl(out) == [chat("a", "b", note="\ud800")]


ALPACA = {"topic": "t", "instruction": 'AT&amp;T, "x"', "output": "yes "}
SHAREGPT = {"topic": "u", "conversations": [{"from": "human", "value": "b"}, {"from": "gpt", "value": "no"}]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'topic,instruction,output\nt,"AT&amp;T, ""x""",yes \nu,b,no\n'),
        ("rows.json", json.dumps([ALPACA, SHAREGPT])),
        ("rows.jsonl", f"{json.dumps(ALPACA)}\n{json.dumps(SHAREGPT)}\n"),
    ],
)
def test_a_copy_of_any_format_is_chat_jsonl_with_the_fields_of_the_user(
    tmp_path: Path, out: Path, name: str, content: str
) -> None:
    data = tmp_path / name
    data.write_text(content, "utf-8")
    fix(data, out)
    assert read_jsonl(out) == [chat('AT&T, "x"', "yes", topic="t"), chat("b", "no", topic="u")]


def test_a_file_is_read_as_the_user_says_and_may_be_compressed(tmp_path: Path, out: Path) -> None:
    data = tmp_path / "rows.csv.gz"
    data.write_bytes(gzip.compress("frage;antwort;thema\ncaf\u00e9;ja ;t\n".encode("latin-1")))
    reading = Reading(columns={"frage": "prompt", "antwort": "completion"}, encoding="latin-1")
    repair(data, out, [], FIX, reading)
    assert read_jsonl(out) == [chat("café", "ja", thema="t")]


def test_a_row_of_another_format_that_is_no_conversation_has_to_be_dropped(tmp_path: Path, out: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("prompt,completion\na,\nb,no\n", "utf-8")
    with pytest.raises(DataError, match=r"rows.csv:2: .* is empty.*--drop empty-turn"):
        fix(data, out)
    fix(data, out, RepairSpec(fix=True, drop=("empty-turn",)))
    assert read_jsonl(out) == [chat("b", "no")]


def test_a_folder_is_not_written_into(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    table = pyarrow.table({"prompt": ["a"], "completion": ["b "], "at": [date(2024, 5, 6)], "x": [math.nan]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    with pytest.raises(RequestError, match="in the folder that is read"):
        fix(folder, folder / "clean.jsonl")
    fix(folder, out)
    assert read_jsonl(out) == [chat("a", "b", at="2024-05-06", x=None)]


@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hard link"])
def test_the_input_is_never_the_output(data: Path, out: Path, way: str, monkeypatch: Any) -> None:
    write(data, [chat("a", "b ")])
    before = data.read_bytes()
    monkeypatch.chdir(data.parent)
    if way == "symlink":
        out.symlink_to(data)
    elif way == "hard link":
        os.link(data, out)
    else:
        out = data if way == "same" else Path("../") / data.parent.name / data.name
    with pytest.raises(RequestError, match="is the input itself"):
        repair(data, out, [], FIX)
    assert data.read_bytes() == before


def test_nothing_that_exists_is_overwritten(data: Path, out: Path) -> None:
    write(data, [chat("a", "b ")])
    for existing in (out, log_of(out)):
        existing.write_text("mine", "utf-8")
        with pytest.raises(RequestError, match=rf"{existing.name} exists already"):
            fix(data, out)
        assert existing.read_text("utf-8") == "mine"
        existing.unlink()
    out.symlink_to("nowhere")
    with pytest.raises(RequestError, match="exists already"):
        fix(data, out)


def test_a_failure_leaves_nothing_behind(data: Path, tmp_path: Path) -> None:
    write(data, [chat("a", "b"), chat("a", "b")])
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be written"):
        fix(data, tmp_path / "file" / "clean.jsonl")
    problem = Problem("contradiction", "error", (1, 2), "")
    with pytest.raises(RequestError, match="no row would be left"):
        repair(data, tmp_path / "clean.jsonl", [problem], RepairSpec(drop=("contradiction",)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.jsonl", "file"]


def test_a_problem_of_the_whole_file_has_no_rows_to_drop(data: Path, out: Path) -> None:
    write(data, [chat("a", "b")])
    with pytest.raises(SpecError, match="'too-few' is about the file as a whole"):
        repair(data, out, [Problem("too-few", "error", (), "")], RepairSpec(drop=("too-few",)))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (RepairSpec(drop=("typo",)), "there is no problem 'typo': the codes are malformed, stray-space"),
        (RepairSpec(drop=("stray-space",), keep=("stray-space",)), "choose one"),
        (RepairSpec(keep=("malformed",)), "cannot be kept"),
    ],
)
def test_codes_that_make_no_sense_are_refused(spec: RepairSpec, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        spec.check_codes(["stray-space", "malformed"])


def test_a_problem_that_is_kept_is_no_error() -> None:
    found = [Problem("contradiction", "error", (1,), ""), Problem("secret", "error", (2,), "")]
    assert [each.severity for each in leave_alone(found, ["contradiction"])] == ["note", "error"]


TEXTS = st.sampled_from(["a", " a", "b\n", "cafÃ©", "café", "A&amp;T", "A&T", "x  y", '{"a":  1.0}'])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_a_fixed_file_needs_no_fixing_and_has_no_row_that_was_not_there(pairs: list[tuple[str, str]]) -> None:
    rows = [chat(*pair, id=index) for index, pair in enumerate(pairs)]
    with tempfile.TemporaryDirectory() as folder:
        data, once, twice = (Path(folder, name) for name in ("data", "once", "twice"))
        write(data, rows)
        fix(data, once)
        changed = {entry["line"] for entry in read_jsonl(log_of(once))}
        kept = {row["id"]: row for row in read_jsonl(once)}
        assert [row for line, row in enumerate(rows, 1) if line not in changed] == [
            kept[line - 1] for line in range(1, len(rows) + 1) if line not in changed
        ]
        fix(once, twice)
        assert twice.read_bytes() == once.read_bytes()
        assert log_of(twice).read_bytes() == b""
        assert len({example.id for example in read_examples(once)}) == len(kept)
