from __future__ import annotations

from pathlib import Path

from tunewise.cli.runs import as_it_is
from tunewise.records import RunRecord
from tunewise.store.run_folder import RunFolder


def record(path: Path) -> RunRecord:
    return RunRecord(str(path), "data.jsonl", "embedded", 0, "running", 1)


def test_a_run_that_was_killed_is_shown_as_interrupted(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run", {"seed": 0}):
        assert as_it_is(record(tmp_path / "run")).status == "running"
    assert as_it_is(record(tmp_path / "run")).status == "interrupted"
    assert as_it_is(record(tmp_path / "gone")).status == "interrupted"
