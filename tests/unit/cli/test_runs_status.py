from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tunewise import cli
from tunewise.cli.runs import as_it_is
from tunewise.records import RunRecord
from tunewise.settings import get_settings
from tunewise.store.run_folder import RunFolder


def record(path: Path) -> RunRecord:
    return RunRecord(str(path), "data.jsonl", "embedded", 0, "running", 1)


def test_a_run_that_was_killed_is_shown_as_interrupted(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", {"seed": 0}):
        assert as_it_is(record(tmp_path / "run")).status == "running"
    assert as_it_is(record(tmp_path / "run")).status == "interrupted"
    assert as_it_is(record(tmp_path / "gone")).status == "interrupted"


def test_a_price_that_is_no_price_stops_only_what_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNEWISE_HOURLY_PRICE", "abc")
    get_settings.cache_clear()
    try:
        listed = CliRunner().invoke(cli.app, ["runs", "list"], catch_exceptions=False)
        assert (listed.exit_code, listed.stderr) == (0, "no runs yet: `tunewise run DATA` starts one\n")
        for verb in ("run", "train"):
            refused = CliRunner().invoke(
                cli.app, [verb, str(tmp_path / "rows.jsonl")], catch_exceptions=False
            )
            assert refused.exit_code == 1
            assert refused.stderr == "error: TUNEWISE_HOURLY_PRICE is 'abc': give a number such as 0.10\n"
    finally:
        get_settings.cache_clear()
