"""What `tunewise run` says of rows that cannot be trained on, before it asks or trains any model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from toy import make_model, make_tokenizer
from tunewise import cli
from tunewise.settings import get_settings


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    folder = tmp_path / "toy"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def test_rows_that_are_too_long_are_counted_and_the_first_is_named(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    answer = {"role": "assistant", "content": "a"}
    questions = [f"{n}" + "?" * (3000 if n < 8 else 1) for n in range(40)]
    rows = [{"messages": [{"role": "user", "content": question}, answer]} for question in questions]
    data.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    arguments = ["run", str(data), "--base", str(base), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 1
    told = result.stderr.splitlines()[-1]
    assert "tokens, more than the 2048 that are trained on: shorten or remove it (the first of " in told
    assert "rows that cannot be trained on)" in told
