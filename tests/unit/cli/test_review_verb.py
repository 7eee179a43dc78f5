from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tunewise import cli
from tunewise.cli.review import Command, parse_command
from tunewise.store.files import read_jsonl

REPEATED = ("--code", "exact-duplicate")


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, **more}


ROWS = [chat("a", "yes", id=n) for n in (1, 2, 3)] + [
    chat("b\x1b[31m[bold]", "no"),
    chat("b\x1b[31m[bold]", "no"),
]
"""Lines 2 and 3 are one question, line 5 is another."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "clean.jsonl"


def review(data: Path, out: Path, *typed: str) -> Result:
    arguments = ["review", str(data), "--out", str(out), *REPEATED]
    return CliRunner().invoke(cli.app, arguments, input="".join(f"{line}\n" for line in typed))


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        ("k", Command("k")),
        (" Keep ", Command("k")),
        ("d 1, 3", Command("d", (1, 3))),
        ("d1", Command("d", (1,))),
        ('e 2  {"a": 1, "b": 2}', Command("e", (2,), '{"a": 1, "b": 2}')),
        ('e {"a": 1}', Command("e", (), '{"a": 1}')),
        ("a2", Command("a", (2,))),
        ("", Command("?")),
        ("apples", Command("?")),
        ("d all", Command("?")),
        ("k -1", Command("?")),
    ],
)
def test_what_is_typed_is_understood_or_asks_for_help(typed: str, command: Command) -> None:
    assert parse_command(typed) == command


def test_decisions_are_carried_out_on_a_copy(data: Path, out: Path) -> None:
    before = data.read_bytes()
    result = review(data, out, "d 1", "e 2 maybe", "k", "w")
    assert result.exit_code == 0, result.output
    assert "2 · line 3" in result.stdout
    assert read_jsonl(out) == [ROWS[0], chat("a", "maybe", id=3), *ROWS[3:]]
    assert [(entry["line"], entry["after"]) for entry in read_jsonl(Path(f"{out}.changes.jsonl"))] == [
        (2, None),
        (3, "maybe"),
    ]
    assert data.read_bytes() == before


def test_quitting_loses_nothing_and_the_same_command_goes_on(data: Path, out: Path) -> None:
    first = review(data, out, "d", "q")
    assert first.exit_code == 3
    assert "1 of 2 questions are open: the same command goes on with them" in first.stdout
    assert not out.exists()
    second = review(data, out, "k", "w")
    assert second.exit_code == 0, second.output
    assert "1 · line 2" not in second.stdout
    assert read_jsonl(out) == [ROWS[0], *ROWS[3:]]


def test_the_end_of_the_input_is_a_way_to_quit(data: Path, out: Path) -> None:
    assert review(data, out).exit_code == 3


def test_one_can_go_back_from_the_end_and_skip(data: Path, out: Path) -> None:
    result = review(data, out, "s", "d", "b", "k", "w")
    assert result.exit_code == 0, result.output
    assert "2 questions, 1 skipped, whose rows stay as they are" in result.stdout
    assert read_jsonl(out) == ROWS


def test_what_cannot_be_done_is_said_and_asked_again(data: Path, out: Path) -> None:
    result = review(data, out, "d 7", "e", "a", "b", "huh", "k", "k", "w")
    assert result.exit_code == 0, result.output
    for told in (
        "there is no row 7",
        "which row? Such as: e 1",
        "this is the first question",
        "k 2, d 1 3",
    ):
        assert told in result.stdout


def test_an_answer_is_written_in_the_editor_of_the_user(
    data: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text("import pathlib, sys\npathlib.Path(sys.argv[1]).write_text('edited\\n')\n", "utf-8")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor}")
    assert review(data, out, "e 1", "k", "k", "w").exit_code == 0
    assert read_jsonl(out)[1]["messages"][-1]["content"] == "edited"


def test_without_an_editor_the_answer_can_be_typed(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "/no/such/editor")
    assert "type the answer: e 1 TEXT" in " ".join(review(data, out, "e 1", "q").stdout.split())


def test_what_a_terminal_would_obey_is_shown_instead(data: Path, out: Path) -> None:
    shown = review(data, out, "k", "q").stdout
    assert "b␛[31m[bold]" in shown
    assert "\x1b[31m" not in shown


def test_nothing_to_review_writes_nothing(data: Path, out: Path) -> None:
    result = CliRunner().invoke(cli.app, ["review", str(data), "--out", str(out), "--code", "secret"])
    assert result.exit_code == 0
    assert "nothing to review (secret); nothing was written" in result.stdout
    assert not out.exists()


def test_rows_that_cannot_be_used_are_left_to_check(data: Path, out: Path) -> None:
    with data.open("a") as file:
        file.write(json.dumps(chat("c", "")) + "\n")
    result = CliRunner().invoke(cli.app, ["review", str(data), "--out", str(out), "--code", "empty-turn"])
    assert result.exit_code == 0
    assert "in rows that cannot be used" in result.stdout
    assert "--drop CODE" in result.stdout


def test_all_that_the_terminal_is_told_fits_into_80_columns(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    shown = review(data, out, "?", "q").stdout
    keys_and_help = [
        line for line in shown.splitlines() if line[:2] in ("k ", "k,", "e ", "a ", "s ", "b ", "q ")
    ]
    assert len(keys_and_help) >= 8
    assert max(map(len, keys_and_help)) <= 80


def test_a_problem_that_there_is_not_is_refused_by_name(data: Path, out: Path) -> None:
    result = CliRunner().invoke(cli.app, ["review", str(data), "--out", str(out), "--code", "secrets"])
    assert result.exit_code == 1
    assert "there is no problem 'secrets': the codes are answers-not-in-data" in result.stderr


def test_an_existing_file_is_in_the_way_before_anything_is_asked(data: Path, out: Path) -> None:
    for existing, told in ((data, "is the input itself"), (out, "exists already")):
        existing.touch()
        result = review(data, existing, "k")
        assert result.exit_code == 1
        assert told in result.stderr


IN_A_TERMINAL = """
import fcntl, os, signal, termios
signal.signal(signal.SIGINT, signal.default_int_handler)  # Background jobs inherit that it is ignored.
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tunewise.cli import main
main()
"""


def test_in_a_real_terminal_ctrl_c_keeps_what_was_decided(data: Path, out: Path) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, "review", data, "--out", out, *REPEATED],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env=os.environ | {"TERM": "dumb", "COLUMNS": "100"},
    )
    os.close(inside)
    screen = _Screen(terminal)
    try:
        assert "1 · line 2" in screen.wait_for("> ")
        os.write(terminal, b"d 1\n")
        screen.wait_for("1 · line 2 · dropped")
        screen.wait_for("> ")
        time.sleep(1)  # A signal between the prompt and the reading behind it would wait for a key.
        os.write(terminal, b"\x03")
        screen.wait_for("takes up where this one stopped")
        assert process.wait(timeout=60) == 3
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    saved = json.loads(Path(f"{out}.decisions.json").read_text("utf-8"))
    assert [(each["line"], each["action"]) for each in saved["decisions"]] == [(2, "drop")]
    assert review(data, out, "k", "k", "w").exit_code == 0
    assert read_jsonl(out) == [ROWS[0], *ROWS[2:]]


class _Screen:
    """What a program wrote to its terminal since it was last waited for."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._unread = ""

    def wait_for(self, text: str, seconds: float = 120) -> str:
        end = time.monotonic() + seconds
        while text not in self._unread:
            assert time.monotonic() < end, self._unread
            if select.select([self._terminal], [], [], 1)[0]:
                try:
                    self._unread += os.read(self._terminal, 65536).decode(errors="replace")
                except OSError:  # How Linux says that the program is gone.
                    raise AssertionError(self._unread) from None
        seen, _, self._unread = self._unread.partition(text)
        return seen + text
