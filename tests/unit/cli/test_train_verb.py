"""`tunewise train` on the toy model, through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from toy import save_base, write_rows
from tunewise import cli
from tunewise.settings import get_settings
from tunewise.store.files import read_json, read_jsonl


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """With a base in `base`, rows in `rows.jsonl`, and the registry in `home`."""
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNEWISE_DEVICE", "cpu")
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    save_base(tmp_path / "base")
    write_rows(tmp_path / "rows.jsonl")
    yield tmp_path
    get_settings.cache_clear()


def tunewise(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, catch_exceptions=False)


def train(*arguments: str) -> Result:
    return tunewise("train", "rows.jsonl", "--epochs", "1", "--rank", "4", *arguments)


def test_it_shows_an_example() -> None:
    result = tunewise("train", "--help")
    assert "Example: tunewise train" in result.stdout


def test_the_model_it_names_can_be_asked_listed_and_gone_on_from(folder: Path) -> None:
    result = train("--base", "base", "--out", "first", "--suffix", "count", "--json")
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["state"] == "candidate"
    assert record["estimate"]["first"]["tokens"] > 0
    said = [line for line in result.stderr.splitlines() if line.startswith(("estimate: ", "it took "))]
    assert len(said) == 2
    assert tunewise("chat", record["id"], "after 7?", "--max-tokens", "3").exit_code == 0
    assert record["id"] in tunewise("models", "list").stdout
    [run] = json.loads(tunewise("runs", "list", "--json").stdout)
    assert (run["status"], run["model"]) == ("done", record["id"])
    more = tunewise("train", "rows.jsonl", "--from", "count", "--out", "second", "--epochs", "1")
    assert more.exit_code == 0, more.stderr
    assert "try it:  tunewise chat ft:base:local:rows:" in more.stdout
    assert read_json(folder / "second" / "model" / "adapter_config.json")["r"] == 4


def test_a_whole_model_is_chatted_with_and_not_taken_for_an_adapter_of_its_base(folder: Path) -> None:
    result = train("--base", "base", "--out", "whole", "--tuning", "full")
    assert result.exit_code == 0, result.stderr
    assert "serve:   tunewise serve --base ft:base:local:rows:" in result.stdout
    model = json.loads(tunewise("models", "list", "--json").stdout)[0]["id"]
    assert tunewise("chat", model, "after 7?", "--max-tokens", "3").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--rank", "0"), "rank is '0'"),
        (("--learning-rate", "fast"), "learning_rate is 'fast'"),
        (("--from", "nobody"), "no model 'nobody'"),
        (("--base", "nowhere"), "no base model 'nowhere'"),
    ],
)
def test_what_makes_no_sense_is_one_line(folder: Path, options: tuple[str, ...], said: str) -> None:
    result = tunewise("train", "rows.jsonl", "--out", "out", *options)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("error: ")


def test_kill_ends_it_with_3_and_the_same_command_goes_on(folder: Path) -> None:
    command = [
        sys.executable, "-c", "from tunewise.cli import main; main()", "train", "rows.jsonl",
        "--base", "base", "--out", "run", "--epochs", "50", "--batch-size", "1", "--rank", "4",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = folder / "run" / "metrics.jsonl"
    while not metrics.is_file() or not metrics.read_text():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    _, stderr = process.communicate()
    assert process.returncode == 3
    assert "interrupted: the same command takes up where this one stopped" in stderr
    done = len(read_jsonl(metrics))
    assert [path.name for path in (folder / "run" / "checkpoints").iterdir()] == [
        f"step-{done:08d}.safetensors"
    ]
    again = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    assert f"going on after step {done} of 1750" in again.stderr
    assert [row["step"] for row in read_jsonl(metrics)] == list(range(1, len(read_jsonl(metrics)) + 1))
