"""An export is there whole, where nothing was, or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.errors import ExportError, SpecError
from tunewise.export import gguf_files
from tunewise.export.bundle import export_model
from tunewise.export.source import ExportSource
from tunewise.records import ExportFormat


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_in_the_way_is_not_touched(tuned: ExportSource, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        out.mkdir()
    kept = out / "mine.txt" if kind == "folder" else out
    kept.write_text("mine")
    with pytest.raises(ExportError, match="exists and is not an empty folder"):
        export_model(tuned, "peft", out)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "model", "out"]


def test_an_empty_folder_is_filled(tuned: ExportSource, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_model(tuned, "peft", tmp_path / "out")
    assert (tmp_path / "out" / "adapter_config.json").is_file()


def test_files_are_told_with_their_sizes_and_hashes_and_can_be_read_by_all(
    tuned: ExportSource, tmp_path: Path
) -> None:
    (tmp_path / "plain").touch()
    done = export_model(tuned, "safetensors", tmp_path / "new" / "out")
    assert {Path(file.path) for file in done.files} == set((tmp_path / "new" / "out").iterdir())
    for file in done.files:
        content = Path(file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert Path(file.path).stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (done.model, done.format, done.parity) == (tuned.id, "safetensors", None)


def test_a_failure_leaves_no_folder_and_no_scrap(tuned: ExportSource, tmp_path: Path) -> None:
    weights = tuned.base.folder / "model.safetensors"
    broken = replace(tuned, base=replace(tuned.base, folder=tmp_path / "gone"))
    with pytest.raises(ExportError, match="cannot be written"):
        export_model(broken, "safetensors", tmp_path / "out")
    assert weights.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "model"]


@pytest.mark.parametrize("file_format", ["peft", "safetensors"])
def test_only_gguf_can_be_left_unmerged(
    tuned: ExportSource, tmp_path: Path, file_format: ExportFormat
) -> None:
    with pytest.raises(SpecError, match="--no-merge is for --format gguf"):
        export_model(tuned, file_format, tmp_path / "out", merge=False)


def test_without_the_converter_one_line_says_what_to_install(
    tuned: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_files, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match=r"pip install 'tunewise\[gguf\]'"):
        export_model(tuned, "gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()
