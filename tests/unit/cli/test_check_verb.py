from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from check_samples import PRICES
from tunewise import cli
from tunewise.checking import CheckSpec
from tunewise.checking import check as check_data
from tunewise.cli.check import show_report


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["check", *arguments])


def test_sound_examples_are_summed_up_and_exit_0() -> None:
    result = run(str(PRICES))
    assert result.exit_code == 0, result.output
    assert "1178 rows, 1143 different examples" in result.stdout
    assert "warning exact-duplicate: 35 rows, lines 124, 296," in result.stdout
    assert result.stdout.endswith("training on this is sound\n")


def test_what_needs_no_guess_is_said_to_be_fixable(tmp_path: Path) -> None:
    assert (
        "--fix --out CLEAN mends where no guess is needed: stray-space, exact-duplicate"
        in run(str(PRICES)).stdout
    )
    file = tmp_path / "data.jsonl"
    file.write_text("".join(f'{{"prompt": "{n} zl", "completion": "PLN"}}\n' for n in range(60)))
    assert "--fix" not in run(str(file)).stdout


def test_an_error_exits_1_and_json_holds_what_the_contract_says(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text("".join(PRICES.read_text("utf-8").splitlines(keepends=True)[:60]) + "{broken\n", "utf-8")
    result = run(str(file), "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["rows"], report["examples"]) == (61, 60)
    worst = report["problems"][0]
    assert {key: worst[key] for key in ("code", "severity", "lines", "count")} == {
        "code": "malformed",
        "severity": "error",
        "lines": [61],
        "count": 1,
    }
    assert "line 61" in worst["message"]


def test_a_terminal_gets_nothing_to_act_on(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "\u001b[2J I cannot help\n "}]
    file.write_text(json.dumps({"messages": turns}))
    assert "\x1b[2J" not in run(str(file)).stdout


def test_a_missing_file_is_one_line_and_exit_1(tmp_path: Path) -> None:
    result = run(str(tmp_path / "none.jsonl"))
    assert result.exit_code == 1
    assert "there is no such file" in result.stderr


def test_a_terminal_gets_lines_of_its_width_and_a_bounded_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data.jsonl"
    rows = [{"prompt": "one word " * 100, "completion": answer} for answer in ("yes", "no")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = check_data(CheckSpec(data=file))
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("COLUMNS", "80")
    show_report(report, file)
    lines = re.sub(r"\x1b\[\d+m", "", shown.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.endswith("more characters)") for line in lines)


def test_python_runs_the_same_command_line_as_a_module() -> None:
    command = [sys.executable, "-m", "tunewise", "check", "none.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: none.jsonl: there is no such file" in done.stderr


def test_no_torch_is_loaded_for_rows_that_are_short() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from tunewise import cli; "
        f"result = CliRunner().invoke(cli.app, ['check', {str(PRICES)!r}]); "
        "assert result.exit_code == 0, result.output; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
