from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

import tunewise.engines
from toy import make_model, make_tokenizer
from tunewise import cli
from tunewise.cli.progress import RichProgress
from tunewise.engines.base import Delta
from tunewise.errors import TunewiseError
from tunewise.records import ChatRequest, Completion, ModelRecord, RunRecord
from tunewise.serve.server import listen
from tunewise.settings import get_settings
from tunewise.store.registry import Registry

TUNED = "ft:parrot:local:prices:4fj2x9"


class Parrot:
    """As much of an engine as `chat` and the start of `serve` need: it repeats the last question."""

    def __init__(self, base: str) -> None:
        self.base_id = "parrot"
        self.base = base
        self.loaded: dict[str, Path] = {}

    def load(self, model: str, path: Path) -> None:
        self.loaded[model] = path

    def stream(self, request: ChatRequest) -> Iterator[Delta]:
        assert request.model in {self.base_id, *self.loaded}
        text = " ".join(message.content for message in request.messages)
        if text == "fail":
            yield Delta("", Completion("", "error", 1, 0, 1.0, error="out of\nmemory"))
            return
        yield Delta(text)
        yield Delta("", Completion(text, "stop", len(request.messages), 1, 1.0))

    def close(self) -> None:
        print("closed")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Parrot]:
    """The engines that were opened, in place of real ones."""
    engines: list[Parrot] = []

    def open_engine(base: str = "embedded", **_: object) -> Parrot:
        engines.append(Parrot(base))
        return engines[-1]

    monkeypatch.setattr(tunewise.engines, "open_engine", open_engine)
    return engines


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    registry = Registry(get_settings().registry)
    folder = tmp_path / "adapter"
    folder.mkdir()
    metrics = {"exact_match": 0.92}
    registry.add_model(
        ModelRecord(TUNED, "org/parrot", str(folder), "deployed", "won", "/runs/a", 60, metrics)
    )
    registry.add_run(
        RunRecord("/runs/a", "prices.jsonl", "org/parrot", 7, "done", 60, 120, "fine-tune", "Do.")
    )
    yield registry
    get_settings.cache_clear()


def tunewise_cli(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli.app, arguments, input=stdin, catch_exceptions=False)


# --- Start and exit codes ----------------------------------------------------------------------------


def test_help_starts_without_the_heavy_imports() -> None:
    script = (
        "import sys; from tunewise import cli\n"
        "sys.argv = ['tunewise', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'sqlalchemy', 'alembic', 'fastapi', 'openai', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for verb in ("train", "serve", "chat", "export", "models", "runs"):
        assert verb in done.stdout


@pytest.mark.parametrize(
    "verb", [["serve"], ["chat"], ["export"], ["models", "list"], ["models", "show"], ["runs", "show"]]
)
def test_every_verb_shows_an_example(verb: list[str]) -> None:
    result = tunewise_cli(*verb, "--help")
    assert result.exit_code == 0
    assert f"Example: tunewise {' '.join(verb)}" in result.stdout


def test_version_is_that_of_the_package() -> None:
    result = tunewise_cli("--version")
    assert (result.exit_code, result.output) == (0, f"tunewise {version('tunewise')}\n")


def test_usage_errors_exit_2() -> None:
    for arguments in (
        ["frobnicate"],
        ["chat"],
        ["export", "prices"],
        ["serve", "--port", "eighty"],
        ["models", "show"],
    ):
        assert tunewise_cli(*arguments).exit_code == 2


def test_an_error_of_the_users_is_one_line_and_exits_1(registry: Registry) -> None:
    result = tunewise_cli("models", "show", "nothing")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: no model 'nothing' is registered")
    assert result.stderr.count("\n") == 1


def test_an_interrupt_exits_3_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tunewise.store.registry.Registry.__init__", interrupted)
    result = tunewise_cli("runs", "list")
    assert result.exit_code == 3
    assert "the same command" in result.stderr


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: Any) -> None:
        raise KeyError("bug")

    monkeypatch.setattr("tunewise.store.registry.Registry.__init__", bug)
    with pytest.raises(KeyError, match="bug"):
        tunewise_cli("runs", "list")


# --- models and runs ---------------------------------------------------------------------------------


def test_models_are_listed_and_shown(registry: Registry) -> None:
    assert TUNED in tunewise_cli("models", "list").stdout
    [listed] = json.loads(tunewise_cli("models", "list", "--json").stdout)
    for name in (TUNED, "prices", "4fj2x9"):
        shown = json.loads(tunewise_cli("models", "show", name, "--json").stdout)
        assert shown == listed
        assert shown["id"] == TUNED
        assert shown["metrics"] == {"exact_match": 0.92}
    assert "deployed (won)" in tunewise_cli("models", "show", "prices").stdout


def test_a_short_form_of_two_models_is_refused(registry: Registry) -> None:
    other = TUNED.replace("4fj2x9", "7kq0aa")
    registry.add_model(ModelRecord(other, "org/parrot", "/gone", "candidate", "", "/runs/b", 90))
    result = tunewise_cli("models", "show", "prices")
    assert result.exit_code == 1
    assert TUNED in result.stderr
    assert other in result.stderr
    assert tunewise_cli("models", "show", "7kq0aa").exit_code == 0


def test_runs_are_listed_and_shown(registry: Registry) -> None:
    assert "fine-tune" in tunewise_cli("runs", "list").stdout
    [listed] = json.loads(tunewise_cli("runs", "list", "--json").stdout)
    assert listed["path"] == "/runs/a"
    assert json.loads(tunewise_cli("runs", "show", "a", "--json").stdout) == listed
    assert "Do." in tunewise_cli("runs", "show", "/runs/a").stdout
    assert tunewise_cli("runs", "show", "b").exit_code == 1


def test_an_empty_registry_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path))
    get_settings.cache_clear()
    for verb in ("models", "runs"):
        assert tunewise_cli(verb, "list").exit_code == 0
        assert json.loads(tunewise_cli(verb, "list", "--json").stdout) == []
    get_settings.cache_clear()


# --- chat --------------------------------------------------------------------------------------------


def test_chat_asks_a_tuned_model_on_its_own_base(registry: Registry, opened: list[Parrot]) -> None:
    result = tunewise_cli("chat", "prices", "3 kg", "--system", "Be brief.")
    assert (result.exit_code, result.stdout) == (0, "Be brief. 3 kg\n")
    assert opened[0].base == "org/parrot"
    assert opened[0].loaded == {TUNED: Path(registry.model(TUNED).path)}


def test_chat_reads_a_pipe_and_answers_in_json(registry: Registry, opened: list[Parrot]) -> None:
    answer = json.loads(tunewise_cli("chat", TUNED, "--json", stdin="3 kg\n").stdout)
    assert (answer["model"], answer["answer"], answer["finish_reason"]) == (TUNED, "3 kg", "stop")
    assert (answer["input_tokens"], answer["output_tokens"]) == (1, 1)
    assert tunewise_cli("chat", TUNED, stdin=" \n").exit_code == 1


@pytest.mark.parametrize(
    ("name", "base"),
    [("embedded", "embedded"), ("smollm2-135m-instruct", "embedded"), ("org/base", "org/base"), (".", ".")],
)
def test_chat_asks_a_base(registry: Registry, opened: list[Parrot], name: str, base: str) -> None:
    assert tunewise_cli("chat", name, "hello").stdout == "hello\n"
    assert opened[0].base == base


def test_chat_opens_nothing_for_a_model_that_is_not_there(registry: Registry, opened: list[Parrot]) -> None:
    Path(registry.model(TUNED).path).rmdir()
    gone, unknown = tunewise_cli("chat", "prices", "hello"), tunewise_cli("chat", "ft:a/b:c:d:e", "hello")
    assert (gone.exit_code, unknown.exit_code) == (1, 1)
    assert "is gone" in gone.stderr
    assert "'ft:a/b:c:d:e'" in unknown.stderr
    assert opened == []


def test_chat_reports_an_answer_that_failed(registry: Registry, opened: list[Parrot]) -> None:
    result = tunewise_cli("chat", "embedded", "fail")
    assert result.exit_code == 1
    assert result.stderr == "error: parrot could not answer: out of memory\n"


def test_chat_keeps_the_conversation(
    registry: Registry,
    opened: list[Parrot],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["tunewise", "chat", "embedded"])
    typed = io.StringIO("one\n\ntwo\n")
    monkeypatch.setattr(typed, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", typed)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert capsys.readouterr().out.replace("> ", "") == "one\none one two\n"


# --- serve -------------------------------------------------------------------------------------------


def test_serve_says_that_a_port_is_in_use_before_it_loads(registry: Registry, opened: list[Parrot]) -> None:
    with listen("127.0.0.1", 0) as taken:
        result = tunewise_cli("serve", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "in use" in result.stderr
    assert result.stderr.count("\n") == 1
    assert opened == []


def test_an_engine_that_is_none_is_refused_with_what_there_is() -> None:
    for verb in (["run", "data.jsonl"], ["serve"]):
        result = tunewise_cli(*verb, "--engine", "magic")
        assert result.exit_code == 2
        assert "'local', 'vllm'" in result.stderr


def test_serve_through_a_vllm_that_is_not_there_says_what_to_do(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model().save_pretrained(tmp_path / "base")
    make_tokenizer().save_pretrained(tmp_path / "base")
    monkeypatch.setenv("TUNEWISE_VLLM", "/nowhere/vllm")
    get_settings.cache_clear()
    result = tunewise_cli("serve", "--port", "0", "--base", str(tmp_path / "base"), "--engine", "vllm")
    assert result.exit_code == 1
    *_, line = result.stderr.splitlines()
    assert line.startswith("error: there is no program '/nowhere/vllm'")


def test_serve_takes_no_adapter_for_a_base(registry: Registry) -> None:
    result = tunewise_cli("serve", "--port", "0", "--base", TUNED)
    assert result.exit_code == 1
    assert result.stderr == f"error: {TUNED} is an adapter, which its base serves: give --base org/parrot\n"


def test_serve_prints_where_and_what_and_ends_in_order(registry: Registry) -> None:
    script = (
        "import sys; import tunewise.engines; from test_cli import Parrot; from tunewise import cli\n"
        "tunewise.engines.open_engine = lambda base, **_: Parrot(base)\n"
        "sys.argv = ['tunewise', 'serve', '--port', '0', '--base', 'org/parrot']; cli.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    with process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        with urllib.request.urlopen(f"{url}/models") as response:
            assert [model["id"] for model in json.load(response)["data"]] == ["parrot", TUNED]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert rest.endswith("closed\n")
    assert f"  parrot\n  {TUNED}\n" in rest
    assert f'"model": "{TUNED}"' in rest
    assert process.returncode == 0


# --- progress ----------------------------------------------------------------------------------------


def test_progress_in_a_log_is_a_line_at_each_end() -> None:
    log = io.StringIO()
    progress = RichProgress(Console(file=log, force_terminal=False, width=40))
    with progress.task("train [lora]", 10) as task:
        task.advance(4)
        task.advance(6, "loss 0.31")
    progress.say("[bold] stays as it is, however long the line may be")
    with contextlib.suppress(TunewiseError), progress.task("evaluate", 10) as task:
        task.advance(4)
        raise TunewiseError
    first, second, said, third, fourth = log.getvalue().splitlines()
    assert first == "train [lora] ..."
    assert second.startswith("train [lora]: done after ")
    assert second.endswith(" s (loss 0.31)")
    assert said == "[bold] stays as it is, however long the line may be"
    assert third == "evaluate ..."
    assert fourth.startswith("evaluate: stopped at 4 of 10 after ")


def test_progress_on_a_terminal_is_a_bar() -> None:
    screen = io.StringIO()
    progress = RichProgress(Console(file=screen, force_terminal=True, width=100))
    for label in ("train", "evaluate"):
        with progress.task(label, 2) as task:
            task.advance(2, "loss [0.31]")
            progress.say("half way")
    shown = screen.getvalue()
    for text in ("train", "evaluate", "100%", "loss [0.31]", "half way"):
        assert text in shown
