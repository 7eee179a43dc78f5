"""`tunewise run` with a remote rival: who is asked before examples leave the machine, and in what words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from echo_engine import EchoEngine
from toy import write_rows
from tunewise import cli
from tunewise.cli import run as run_verb
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server
from tunewise.settings import get_settings
from tunewise.store.registry import Registry

NO_BASE = "no-such-base"
"""Looked for only after everybody agreed; what the run stops at then."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EchoEngine, str]]:
    echo = EchoEngine()
    registry = Registry(tmp_path_factory.mktemp("registry") / "tunewise.db")
    with background_server(create_app(echo, registry)) as url:
        yield echo, url


@pytest.fixture
def echo(
    endpoint: tuple[EchoEngine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EchoEngine]:
    endpoint[0].requests.clear()
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNEWISE_REMOTE_URL", endpoint[1])
    monkeypatch.setenv("TUNEWISE_CURRENCY", "USD")
    get_settings.cache_clear()
    yield endpoint[0]
    get_settings.cache_clear()


def run(folder: Path, *options: str, approaches: str = "remote:echo", answer: str = "") -> Result:
    data = write_rows(folder / "rows.jsonl")
    asked = ["run", str(data), "--approaches", approaches, "--base", str(folder / NO_BASE)]
    return CliRunner().invoke(cli.app, [*asked, "--out", str(folder / "run"), *options], input=answer)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        class stdin:
            isatty = staticmethod(lambda: True)

    monkeypatch.setattr(run_verb, "sys", Terminal)


def test_without_a_terminal_nothing_is_sent_unless_yes_is_said(echo: EchoEngine, tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: nothing was sent to http://127.0.0.1")
    assert "give --yes, or leave remote:echo out of --approaches" in last
    assert echo.requests == []


def test_yes_sends_without_asking_but_not_without_saying(
    echo: EchoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(tmp_path, "--yes", "--json")
    assert NO_BASE in result.stderr.splitlines()[-1]
    assert "echo at http://127.0.0.1" in result.stderr
    assert "8 training examples with their answers" in result.stderr
    assert "what that costs is not known (set TUNEWISE_PRICE_IN and TUNEWISE_PRICE_OUT)" in result.stderr
    assert result.stdout == ""
    # One call, which holds no example, to see that the endpoint answers.
    assert [request.messages[-1].content for request in echo.requests] == ["Say OK."]


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n"])
def test_at_a_terminal_whoever_sits_there_is_asked(
    echo: EchoEngine, tmp_path: Path, at_a_terminal: None, answer: str
) -> None:
    result = run(tmp_path, answer=answer)
    assert result.exit_code == 1
    assert "Send them to http://127.0.0.1" in result.stderr
    assert len(echo.requests) == (answer == "y\n")
    assert (NO_BASE in result.stderr.splitlines()[-1]) == (answer == "y\n")


def test_money_is_named_where_prices_are_known(
    echo: EchoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_PRICE_IN", "1000")
    monkeypatch.setenv("TUNEWISE_PRICE_OUT", "echo=2000")
    get_settings.cache_clear()
    assert "to write, about $" in run(tmp_path).stderr


def test_several_models_are_told_together_and_asked_about_once(
    echo: EchoEngine, tmp_path: Path, at_a_terminal: None
) -> None:
    result = run(tmp_path, approaches="remote:echo,remote:big", answer="n\n")
    assert "echo and big at http://127.0.0.1" in result.stderr
    assert result.stderr.count("Send them") == 1


def test_a_remote_rival_without_an_address_is_told_what_to_set(
    echo: EchoEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEWISE_REMOTE_URL")
    get_settings.cache_clear()
    result = run(tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: remote:echo needs an endpoint: set TUNEWISE_REMOTE_URL, such as https://api.openai.com/v1\n"
    )


def test_help_names_it() -> None:
    text = " ".join(CliRunner().invoke(cli.app, ["run", "--help"], env={"COLUMNS": "200"}).stdout.split())
    for words in ("remote:MODEL", "TUNEWISE_REMOTE_URL", "--yes"):
        assert words in text
