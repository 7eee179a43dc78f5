"""`tunewise check` with --fix, --drop and --keep, from the command line to the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tunewise import cli
from tunewise.store.files import read_jsonl


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **more}


ROWS = [chat("a", "yes", topic="t"), chat("a", "yes", topic="u"), chat("AT&amp;T", "no ", topic="t")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "clean.jsonl"


def check(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["check", *map(str, arguments)])


def test_a_fixed_copy_is_written_and_told_about(data: Path, out: Path) -> None:
    before = data.read_bytes()
    result = check(data, "--fix", "--out", out)
    assert f"{out}: 2 rows; 1 dropped (exact-duplicate), 1 mended (html-entity), 1 mended (stray-space)" in (
        result.stdout
    )
    assert f"every change: {out}.changes.jsonl" in result.stdout
    assert read_jsonl(out) == [ROWS[0], chat("AT&T", "no", topic="t")]
    assert data.read_bytes() == before


def test_json_tells_of_the_file_and_of_the_copy(data: Path, out: Path) -> None:
    told = json.loads(check(data, "--fix", "--out", out, "--group-key", "topic", "--json").stdout)
    assert told["rows"] == 3
    assert "exact-duplicate" in {problem["code"] for problem in told["problems"]}
    clean = told["clean"]
    assert (clean["path"], clean["rows"], clean["dropped"]) == (str(out), 2, {"exact-duplicate": 1})
    assert "exact-duplicate" not in {problem["code"] for problem in clean["problems"]}


def test_rows_are_dropped_without_a_fix_and_a_kept_problem_is_only_a_note(data: Path, out: Path) -> None:
    check(data, "--drop", "exact-duplicate", "--out", out)
    assert read_jsonl(out) == [ROWS[0], ROWS[2]]
    told = json.loads(check(data, "--keep", "exact-duplicate", "--json").stdout)
    [repeated] = [problem for problem in told["problems"] if problem["code"] == "exact-duplicate"]
    assert repeated["severity"] == "note"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fix"], "say where to, with --out CLEAN"),
        (["--drop", "exact-duplicate"], "say where to, with --out CLEAN"),
        (["--out", "clean.jsonl"], "add one of them"),
    ],
)
def test_options_that_need_another_are_a_usage_error(data: Path, options: list[str], told: str) -> None:
    result = check(data, *options)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_what_cannot_be_done_is_one_line(data: Path, out: Path) -> None:
    for options, told in [
        (["--drop", "typo", "--out", out], "there is no problem 'typo': the codes are"),
        (["--keep", "roles"], "'roles' cannot be kept"),
        (["--fix", "--out", data], f"{data} is the input itself"),
    ]:
        result = check(data, *options)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {told}")
        assert result.stderr.count("\n") == 1
    assert not out.exists()


def test_a_page_is_written_and_only_a_page_is_replaced(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    for _ in range(2):
        check(data, "--html", page)
        assert "AT&amp;amp;T" in page.read_text("utf-8")
    for taken in (data, tmp_path):
        result = check(data, "--html", taken)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert read_jsonl(data) == ROWS
