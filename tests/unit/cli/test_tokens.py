from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from toy import make_model, make_tokenizer
from tunewise import cli
from tunewise.cli.tokens import ShownToken, render_tokens
from tunewise.records import Example, Message
from tunewise.train.rows import encode_rows, training_template
from tunewise.train.spec import TrainSpec

SYSTEM = {"role": "system", "content": "Be brief."}
TURNS = [{"role": "user", "content": "é b"}, {"role": "assistant", "content": "ok\n"}]
TOOL = {"type": "function", "function": {"name": "dice"}}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    make_tokenizer().save_pretrained(folder)
    make_model().config.save_pretrained(folder)
    (folder / "model.safetensors").touch()  # Never read.
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    usual = {"messages": [SYSTEM, *TURNS]}
    rows = [usual, None, {"messages": TURNS}, {"messages": TURNS, "tools": [TOOL]}, usual, usual]
    path.write_text("\n".join("" if row is None else json.dumps(row) for row in rows), "utf-8")
    return path


def ask(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["tokens", *map(str, arguments)])


def test_trained_tokens_stand_in_brackets_and_white_space_is_seen(base: Path, data: Path) -> None:
    result = ask(data, "--row", 1, "--base", base)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "<|im_start|>│u│s│e│r│⏎│\n"
        "\\xc3│\\xa9│·│b│<|im_end|>│⏎│\n"
        "<|im_start|>│a│s│s│i│s│t│a│n│t│⏎│\n"
        "⟦o│k│⏎│\n"
        "<|im_end|>⟧\n"
        "\n27 tokens: 4 trained, 23 context\n"
    )


def test_it_shows_what_is_trained(base: Path, data: Path) -> None:
    template = training_template(make_tokenizer())
    turns = (Message("system", "Be brief."), Message("user", "é b"), Message("assistant", "ok\n"))
    example = Example("1", turns, 1, "1")
    for share, option in ((0.0, []), (1.0, ["--with-instructions"])):
        spec = TrainSpec(instruction_share=share)
        [trained] = encode_rows(template, [example], spec, data).rows
        shown = json.loads(ask(data, "--row", 1, "--base", base, "--json", *option).stdout)
        assert [token["id"] for token in shown["tokens"]] == trained.ids
        assert [token["trained"] for token in shown["tokens"]] == trained.trained
        assert shown["num_tokens"] == shown["num_trained"] + shown["num_context"] == len(trained.ids)
        assert shown["instruction"] == ("Be brief." if option else None)


def test_rows_without_a_system_message_take_the_given_instructions(
    base: Path, data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "instructions.txt"
    file.write_text("Say ok.\n", "utf-8")
    assert "S│a│y│·│o│k│." in ask(data, "--row", 3, "--base", base, "--instructions", file).stdout
    assert "B│e│·│b│r│i│e│f" in ask(data, "--row", 1, "--base", base, "--instructions", file).stdout
    result = ask(data, "--row", 3, "--base", base, "--with-instructions")
    assert result.exit_code == 1
    assert result.stderr == f"error: {data}:3: this row has no system message: give --instructions FILE\n"


def test_functions_that_the_template_does_not_know_are_seen_spelled_out(base: Path, data: Path) -> None:
    result = ask(data, "--row", 4, "--base", base)
    assert "<│t│o│o│l│s│>" in result.stdout
    assert "functions are spelled out" in result.stdout
    assert json.loads(ask(data, "--row", 4, "--base", base, "--json").stdout)["tools_spelled_out"]


@pytest.mark.parametrize("line", [2, 7])
def test_a_line_without_a_row_is_told_with_how_many_there_are(base: Path, data: Path, line: int) -> None:
    result = ask(data, "--row", line, "--base", base)
    assert result.exit_code == 1
    told = f"error: there is no row on line {line}: {data} has 5 rows, on the lines 1 to 6\n"
    assert result.stderr == told


def test_on_a_terminal_colours_say_what_is_trained() -> None:
    shown = [ShownToken(0, "q ", False), ShownToken(1, "a", True)]
    assert render_tokens(shown, coloured=True) == "\x1b[2mq·\x1b[0m│\x1b[32m\x1b[1ma\x1b[0m"
    assert render_tokens(shown, coloured=False) == "q·│⟦a⟧"
