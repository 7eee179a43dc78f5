"""Two runs are compared on the examples that both were tested with, and on nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from run_folders import write_run
from tunewise import cli
from tunewise.comparing import compare_runs
from tunewise.errors import SpecError
from tunewise.store.files import read_json, read_jsonl, write_json, write_jsonl


def two_runs(tmp_path: Path) -> tuple[Path, Path]:
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        write_run(folder)
    return folders


def edit_scores(folder: Path, change) -> None:
    write_jsonl(folder / "scores.jsonl", map(change, read_jsonl(folder / "scores.jsonl")))


def test_a_run_gains_nothing_over_itself(tmp_path: Path) -> None:
    first, _ = two_runs(tmp_path)
    comparison = compare_runs(first, first)
    assert comparison.shared_examples == 100
    assert comparison.differences == ""
    assert {approach.gain.estimate for approach in comparison.approaches if approach.gain} == {0}


def test_the_gain_is_that_of_the_second_run_where_examples_are_shared(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)

    def improve(row):
        row["example_id"] = row["example_id"].replace("e9", "other")
        return row | {"metrics": row["metrics"] | {"exact_match": 1.0}}

    edit_scores(second, improve)
    comparison = compare_runs(first, second)
    tuned = next(approach for approach in comparison.approaches if approach.name == "fine-tuned")
    # e9 and e90 to e99 are other examples in the second run; in the first 71 are right, e9 among them.
    assert comparison.shared_examples == tuned.shared_examples == 89
    assert tuned.gain is not None
    assert tuned.gain.estimate == pytest.approx(19 / 89)
    assert tuned.gain.low > 0


def test_without_shared_examples_scores_stand_alone(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    edit_scores(second, lambda row: row | {"example_id": f"other {row['example_id']}"})
    comparison = compare_runs(first, second)
    assert comparison.shared_examples == 0
    assert all(approach.first and approach.second and not approach.gain for approach in comparison.approaches)


def test_an_approach_of_one_run_only_is_shown_all_the_same(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    kept = [row for row in read_jsonl(second / "scores.jsonl") if row["approach"] != "nearest-copy"]
    write_jsonl(second / "scores.jsonl", kept)
    manifest = read_json(second / "manifest.json")
    del manifest["test_seconds"]["nearest-copy"]
    manifest["findings"]["floors"] = ["majority"]
    write_json(second / "manifest.json", manifest)
    lone = next(a for a in compare_runs(first, second).approaches if a.name == "nearest-copy")
    assert (lone.first is not None, lone.second, lone.gain) == (True, None, None)


def test_runs_that_measured_different_things_are_refused(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    edit_scores(second, lambda row: row | {"metrics": {"chrf": 1.0}})
    with pytest.raises(SpecError, match=r"exact_match, which .*second did not measure"):
        compare_runs(first, second)


def test_the_table_names_what_differs_and_who_gained(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    manifest = read_json(second / "manifest.json")
    write_json(second / "manifest.json", manifest | {"spec": manifest["spec"] | {"seed": 1}})
    result = CliRunner().invoke(cli.app, ["runs", "compare", str(first), str(second)])
    assert result.exit_code == 0
    assert "asked for: seed was None, is 1" in result.stdout
    assert "71.0%" in result.stdout
    as_json = CliRunner().invoke(cli.app, ["runs", "compare", str(first), str(second), "--json"])
    assert json.loads(as_json.stdout)["shared_examples"] == 100
