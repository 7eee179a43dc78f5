"""A verdict can be made again from what its run left, and from nothing less."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from run_folders import MODEL, write_run
from tunewise.deciding import decide_run
from tunewise.errors import RunFolderError
from tunewise.store.files import read_json, read_jsonl, write_json, write_jsonl


@pytest.mark.parametrize("forced", [False, True])
def test_the_verdict_of_an_unchanged_run_is_that_of_its_file(tmp_path: Path, forced: bool) -> None:
    verdict = write_run(tmp_path, forced=forced)
    assert decide_run(tmp_path) == verdict
    assert json.loads(json.dumps(asdict(decide_run(tmp_path)))) == read_json(tmp_path / "verdict.json")
    assert (verdict.model, verdict.deployed) == (MODEL, forced)


def test_other_scores_make_another_verdict(tmp_path: Path) -> None:
    assert write_run(tmp_path).recommendation == "inconclusive"
    rows = read_jsonl(tmp_path / "scores.jsonl")
    for row in rows:
        if row["approach"] == "fine-tuned":
            row["metrics"]["exact_match"] = 1.0
    write_jsonl(tmp_path / "scores.jsonl", rows)
    assert decide_run(tmp_path).recommendation == "fine-tune"


def test_a_number_of_calls_can_be_declared_afterwards(tmp_path: Path) -> None:
    write_run(tmp_path)
    listed = decide_run(tmp_path).reasons[0].evidence["not_measured"]
    declared = decide_run(tmp_path, calls_per_month=1000).reasons[0].evidence["not_measured"]
    assert set(listed) - set(declared) == {"what training saves, as no number of calls a month was declared"}


def without_findings(folder: Path) -> None:
    edit_manifest(folder, findings=None)


def edit_manifest(folder: Path, **changes: Any) -> None:
    manifest = {**read_json(folder / "manifest.json"), **changes}
    write_json(folder / "manifest.json", {key: value for key, value in manifest.items() if value is not None})


def edit_scores(folder: Path, change: Any) -> None:
    rows = read_jsonl(folder / "scores.jsonl")
    write_jsonl(folder / "scores.jsonl", change(rows))


def a_wrong_price(folder: Path) -> None:
    findings = read_json(folder / "manifest.json")["findings"]
    edit_manifest(folder, findings={**findings, "hourly_price": "dear"})


def another_floor(folder: Path) -> None:
    findings = read_json(folder / "manifest.json")["findings"]
    edit_manifest(folder, findings={**findings, "floors": ["guess"]})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), r"manifest.json cannot be read \(No such file"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is no JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "holds no JSON object"),
        (without_findings, r"manifest.json lacks 'findings', which verdicts are made of"),
        (a_wrong_price, "hourly_price: Input should be a valid number"),
        (lambda folder: (folder / "scores.jsonl").unlink(), r"scores.jsonl cannot be read \(No such file"),
        (lambda folder: (folder / "scores.jsonl").write_bytes(b"\xff"), "is no UTF-8"),
        (lambda folder: (folder / "scores.jsonl").write_text("{}\n"), r"scores.jsonl:1: approach"),
        (lambda folder: (folder / "scores.jsonl").write_text(""), "are not of the same run"),
        (lambda folder: edit_scores(folder, lambda rows: rows[:100]), "are not of the same run"),
        (lambda folder: edit_scores(folder, lambda rows: rows[:-1]), "fine-tuned and majority were not"),
        (another_floor, "do not fit: compared with guess, which has no result"),
    ],
)  # fmt: skip
def test_a_folder_that_holds_no_whole_run_is_refused_with_the_place(
    tmp_path: Path, damage: Any, said: str
) -> None:
    write_run(tmp_path)
    damage(tmp_path)
    with pytest.raises(RunFolderError, match=said) as refused:
        decide_run(tmp_path)
    assert "\n" not in str(refused.value)
