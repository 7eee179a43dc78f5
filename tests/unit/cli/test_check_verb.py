from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner, Result

from check_samples import PRICES
from tunewise import cli


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["check", *arguments])


def test_sound_examples_are_summed_up_and_exit_0() -> None:
    result = run(str(PRICES))
    assert result.exit_code == 0, result.output
    assert "1178 rows, 1143 different examples" in result.stdout
    assert "warning exact-duplicate: 35 rows, lines 124, 296," in result.stdout
    assert result.stdout.endswith("training on this is sound\n")


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


def test_no_torch_is_loaded_for_rows_that_are_short() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from tunewise import cli; "
        f"result = CliRunner().invoke(cli.app, ['check', {str(PRICES)!r}]); "
        "assert result.exit_code == 0, result.output; "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
