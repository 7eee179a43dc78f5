"""The options that say how a file of examples is read, which all verbs that read one share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from toy import make_model, make_tokenizer
from tunewise import cli
from tunewise.data.dataset import read_dataset
from tunewise.data.reading import FORMAT_NAMES, Reading, parse_reading
from tunewise.errors import RunFolderError
from tunewise.publish import open_run
from tunewise.run_spec import TuneSpec
from tunewise.store.registry import Registry


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    make_tokenizer().save_pretrained(folder)
    make_model().config.save_pretrained(folder)
    (folder / "model.safetensors").touch()  # Never read.
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "shops.csv"
    path.write_text("question;answer\n1 £;GBP\n2 £;GBP\n", "latin-1")
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, list(map(str, arguments)))


def test_tokens_shows_a_row_of_a_table(base: Path, table: Path) -> None:
    reading = ("--columns", "question=prompt,answer=completion", "--encoding", "latin-1", "--format", "csv")
    result = invoke("tokens", table, "--row", 3, "--base", base, "--json", *reading)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["line"] == 3


@pytest.mark.parametrize("verb", [("run",), ("train",), ("tokens", "--row", 2)])
def test_every_verb_tells_what_it_cannot_read(verb: tuple[object, ...], table: Path) -> None:
    result = invoke(*verb, table, "--format", "csv", "--columns", "question=prompt,answer=completion")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {table}:2: byte 0xa3 at position 3 is not UTF-8")
    assert "--encoding latin-1" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", [("run",), ("train",), ("tokens", "--row", 2)])
def test_every_verb_refuses_an_option_that_makes_no_sense(verb: tuple[object, ...], table: Path) -> None:
    result = invoke(*verb, table, "--format", "xml")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: --format: there is no format 'xml': choose from")


def test_a_run_that_reads_its_data_otherwise_is_another_run(tmp_path: Path, table: Path) -> None:
    def claim(reading: Reading) -> None:
        spec = TuneSpec(data=table, reading=reading)
        dataset = read_dataset(table, reading=reading)
        with open_run(tmp_path / "run", spec, dataset, "base", Registry(tmp_path / "registry.sqlite")):
            pass

    first = parse_reading(columns="question=prompt,answer=completion", encoding="latin-1")
    claim(first)
    claim(first)
    with pytest.raises(RunFolderError, match=r"belongs to another run \(columns was .*; encoding was"):
        claim(parse_reading(columns="answer=prompt,question=completion", encoding="cp1252"))


def test_help_names_every_format() -> None:
    words = set(re.findall(r"[a-z]+(?:-\s*[a-z]+)*", invoke("check", "--help").stdout))
    assert set(FORMAT_NAMES) <= {re.sub(r"\s", "", word) for word in words}
