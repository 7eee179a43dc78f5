"""`tunewise advise` asks what the options do not say, and refuses to guess where nobody is there."""

import json
import os
import pty
import subprocess
import sys

from typer.testing import CliRunner

from tunewise import cli

ALL = [
    "--prompting",
    "usable",
    "--lacking",
    "form",
    "--changes",
    "no",
    "--agreement",
    "always",
    "--examples",
    "120",
]


def test_with_all_options_nothing_is_asked():
    result = CliRunner().invoke(cli.app, ["advise", *ALL])
    assert result.exit_code == 0
    assert result.stdout.strip().startswith("Fine-tune: ")
    assert "tunewise run DATA" in result.stdout


def test_json_holds_what_was_said_and_the_advice():
    advice = json.loads(CliRunner().invoke(cli.app, ["advise", *ALL, "--json"]).stdout)
    assert advice["situation"]["examples"] == 120
    assert advice["recommendation"] == "fine-tune"
    assert {"code", "text", "evidence"} == advice["reasons"][0].keys()


def test_without_a_terminal_all_missing_options_are_named_with_their_choices():
    result = CliRunner().invoke(cli.app, ["advise", *ALL[2:-2]])
    assert result.exit_code == 1
    told = "error: nobody is there to ask: give --prompting not-tried|bad|usable|good, --examples NUMBER\n"
    assert result.stderr == told
    nothing_said = CliRunner().invoke(cli.app, ["advise"]).stderr
    assert "--documents yes|no" in nothing_said


def test_questions_are_asked_again_until_they_are_answered():
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tunewise", "advise", "--examples", "30", "--lacking", "facts"]
    advised = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(theirs)
    # Usable; 9 is no answer to whether there are documents, 1 is; nothing changes; people mostly agree.
    os.write(ours, b"3\n9\n1\n1\n2\n")
    output, questions = advised.communicate(timeout=120)
    os.close(ours)
    assert advised.returncode == 0
    assert output.strip().startswith("Use your documents: ")
    assert questions.count("?") == 4


def test_whoever_stops_before_the_last_question_is_told_in_one_line():
    ours, theirs = pty.openpty()
    advised = subprocess.Popen(
        [sys.executable, "-m", "tunewise", "advise"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(ours, b"\x04")
    output, errors = advised.communicate(timeout=120)
    os.close(ours)
    assert (advised.returncode, output) == (1, "")
    assert errors.endswith(
        "error: stopped before the last question: there is no advice without all answers\n"
    )
