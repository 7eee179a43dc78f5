from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from run_folders import write_run
from tunewise import cli
from tunewise.records import RunRecord
from tunewise.settings import get_settings
from tunewise.store.registry import Registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    folder = tmp_path / "prices"
    write_run(folder)
    yield folder
    get_settings.cache_clear()


def decide(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["decide", *arguments], catch_exceptions=False)


def test_json_is_byte_for_byte_what_the_run_wrote(folder: Path) -> None:
    assert decide(str(folder), "--json").stdout == (folder / "verdict.json").read_text("utf-8")


def test_people_are_told_in_words(folder: Path) -> None:
    result = decide(str(folder))
    assert result.exit_code == 0
    assert "Inconclusive: the tuned model gets 71% of 100 unseen examples right" in result.stdout
    assert "  1. The gain, +1.0 points over few-shot" in result.stdout


def test_a_run_goes_by_its_name(folder: Path) -> None:
    registry = Registry(get_settings().registry)
    registry.add_run(RunRecord(str(folder), "prices.jsonl", "embedded", 7, "done", 60))
    assert decide("prices", "--json").stdout == decide(str(folder), "--json").stdout


def test_nothing_is_written(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    decide(str(folder), "--calls-per-month", "1000")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_without_a_run_and_an_unknown_name_are_one_line(folder: Path) -> None:
    for run in (str(folder.parent), "nowhere"):
        result = decide(run)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
