"""`tunewise export` on a toy base and a model tuned from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from toy import make_model, make_tokenizer
from tunewise import cli
from tunewise.models.adapters import save_adapter
from tunewise.records import ModelRecord
from tunewise.settings import get_settings
from tunewise.store.files import sha256_of_file
from tunewise.store.registry import Registry

TUNED = "ft:toy:local:prices:4fj2x9"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A base folder, with one tuned model in the registry."""
    folder = tmp_path / "toy"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    layers = {"model.layers.0.mlp.up_proj": (torch.ones(2, 32), torch.ones(48, 2))}
    save_adapter(tmp_path / "model", layers, 2, 4.0, str(folder))
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    record = ModelRecord(TUNED, str(folder), str(tmp_path / "model"), "deployed", "won", "/runs/a", 60)
    Registry(get_settings().registry).add_model(record)
    yield folder
    get_settings.cache_clear()


def export(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["export", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", [TUNED, "prices", "4fj2x9"])
def test_a_tuned_model_is_exported_by_any_of_its_names(base: Path, tmp_path: Path, name: str) -> None:
    result = export(name, "--format", "peft", "--out", str(tmp_path / "out"), "--json")
    done = json.loads(result.stdout)
    assert (done["model"], done["format"], done["parity"]) == (TUNED, "peft", None)
    assert done["folder"] == str(tmp_path / "out")
    for file in done["files"]:
        path = Path(file["path"])
        assert (file["bytes"], file["sha256"]) == (path.stat().st_size, sha256_of_file(path))


def test_a_base_is_exported_by_its_folder(base: Path, tmp_path: Path) -> None:
    result = export(str(base), "--format", "safetensors", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    weights = tmp_path / "out" / "model.safetensors"
    assert sha256_of_file(weights) == sha256_of_file(base / "model.safetensors")
    [line] = [line for line in result.stdout.splitlines() if line.startswith(str(weights))]
    assert line.split()[1:] == [str(weights.stat().st_size), sha256_of_file(weights)]


def test_what_cannot_be_exported_is_an_error_of_one_line(base: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for arguments, problem in (
        (["nobody", "--format", "peft", "--out", out], "no model 'nobody'"),
        ([str(base), "--format", "peft", "--out", out], "has no adapter"),
        (["prices", "--format", "peft", "--out", str(base)], "not an empty folder"),
        (["prices", "--format", "peft", "--out", out, "--no-merge"], "--no-merge is for --format gguf"),
    ):
        result = export(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert problem in result.stderr
        assert result.stderr.count("\n") == 1
    assert not Path(out).exists()


def test_a_model_whose_folder_is_gone_says_so(base: Path, tmp_path: Path) -> None:
    registry = Registry(get_settings().registry)
    registry.add_model(replace(registry.model(TUNED), path=str(tmp_path / "gone")))
    result = export("prices", "--format", "safetensors", "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "gone: restore it, or train again" in result.stderr


def test_an_unknown_format_is_a_usage_error(base: Path, tmp_path: Path) -> None:
    assert export("prices", "--format", "onnx", "--out", str(tmp_path / "out")).exit_code == 2
