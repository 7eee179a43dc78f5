"""A model of another machine as a rival: nothing is sent unasked, and nothing is sent twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toy import make_loaded, save_base, write_rows
from tunewise import pipeline
from tunewise.approaches.prompted import Prompted
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import Wording, list_wordings
from tunewise.data.dataset import read_dataset
from tunewise.data.split import Split, split_examples
from tunewise.deciding import decide_run
from tunewise.engines import RemoteSpec, open_remote_engine
from tunewise.engines.local import LocalEngine
from tunewise.engines.remote import RemoteEngine
from tunewise.errors import (
    ConsentError,
    EndpointError,
    ModelNotFoundError,
    OverloadedError,
    RequestError,
    SpecError,
    TunewiseError,
)
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import Decoding
from tunewise.evaluate.selection import PromptChoice
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Grammar, Message, TokenPrice, Verdict
from tunewise.remote_rivals import Disclosure, ask_remote, choose_remote_prompts, disclose
from tunewise.run_spec import RunSpec
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server, listen, url_of
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, read_jsonl
from tunewise.store.registry import Registry

Faults = dict[str | Grammar | None, TunewiseError]
"""By the question or the grammar; a request that has neither is answered."""


class CountingEngine(LocalEngine):
    """Remembers what it was asked, and refuses what its `faults` name."""

    def __init__(self) -> None:
        super().__init__(make_loaded(1), own_thread=True)
        self.asked: list[ChatRequest] = []
        self.faults: Faults = {}

    def stream(self, *requests: ChatRequest, whole: bool = False) -> Any:
        self.asked += requests
        for request in requests:
            for asked in (request.messages[-1].content, request.grammar):
                if asked in self.faults:
                    raise self.faults[asked]
        return super().stream(*requests, whole=whole)


class Told(SilentProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


class Asked:
    """A consent that remembers what it was told."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.disclosures: list[Disclosure] = []

    def __call__(self, disclosure: Disclosure) -> bool:
        self.disclosures.append(disclosure)
        return self.answer


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CountingEngine, str]]:
    registry = Registry(tmp_path_factory.mktemp("registry") / "tunewise.db")
    with closing(CountingEngine()) as engine, background_server(create_app(engine, registry)) as url:
        yield engine, url


@pytest.fixture
def faults(endpoint: tuple[CountingEngine, str]) -> Iterator[Faults]:
    yield endpoint[0].faults
    endpoint[0].faults.clear()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    prices = {"input_prices": {None: 1.0, "toy": 2.0}, "output_prices": {None: 8.0}}
    return replace(get_settings(), home=home, organization="test", device="cpu", **prices)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, endpoint: tuple[CountingEngine, str]) -> RunSpec:
    folder = tmp_path_factory.mktemp("data")
    return RunSpec(
        data=write_rows(folder / "rows.jsonl"),
        base=str(save_base(folder / "toy")),
        instructions="Count on.",
        approaches=("majority", "zero-shot", "remote:toy"),
        remote_url=endpoint[1],
    )


@pytest.fixture(scope="module")
def done(
    tmp_path_factory: pytest.TempPathFactory,
    endpoint: tuple[CountingEngine, str],
    spec: RunSpec,
    settings: Settings,
) -> tuple[Path, Verdict, Asked, int]:
    """A whole run: its folder, its verdict, who was asked, and how many calls the endpoint saw."""
    out, asked = tmp_path_factory.mktemp("runs") / "run", Asked()
    before = len(endpoint[0].asked)
    verdict = pipeline.run(spec, out, settings=settings, consent=asked)
    return out, verdict, asked, len(endpoint[0].asked) - before


Done = tuple[Path, Verdict, Asked, int]


def split_of(spec: RunSpec) -> Split:
    return split_examples(read_dataset(spec.data).examples, spec.seed, path=spec.data)


def test_a_remote_model_is_one_more_rival_on_the_same_test_set(done: Done) -> None:
    out, verdict, _, _ = done
    assert [row.name for row in verdict.approaches] == ["majority", "zero-shot", "remote:toy"]
    assert {row.answered for row in verdict.approaches} == {verdict.test_examples}
    scores = read_jsonl(out / "scores.jsonl")
    ids = {
        name: [s["example_id"] for s in scores if s["approach"] == name]
        for name in ("majority", "remote:toy")
    }
    assert ids["majority"] == ids["remote:toy"]
    manifest = read_json(out / "manifest.json")
    assert {"zero-shot", "remote:toy"} == set(manifest["prompting"]["setups"])
    assert "test-remote:toy" in manifest["timings"]
    assert decide_run(out) == verdict


def test_its_calls_cost_their_tokens(done: Done) -> None:
    out, verdict, _, _ = done
    row = verdict.approaches[2]
    expected = (2.0 * row.input_tokens_per_call + 8.0 * row.output_tokens_per_call) / 1000
    assert row.input_tokens_per_call > 0
    assert row.cost_per_1000_calls == pytest.approx(expected)
    assert read_json(out / "manifest.json")["findings"]["token_prices"] == {
        "remote:toy": {"input": 2.0, "output": 8.0}
    }


def test_what_would_be_sent_is_told_before_and_holds(
    done: Done, spec: RunSpec, endpoint: tuple[CountingEngine, str]
) -> None:
    _, verdict, asked, calls = done
    (told,) = asked.disclosures
    split = split_of(spec)
    assert (told.url, told.models) == (endpoint[1], ("toy",))
    assert (told.validation_inputs, told.test_inputs) == (len(split.validation), verdict.test_examples)
    assert verdict.test_examples < calls <= told.max_calls
    contents = {turn.content for request in endpoint[0].asked for turn in request.messages}
    shown = {row.id for row in split.train if {turn.content for turn in row.messages} <= contents}
    assert 0 < len(shown) <= told.shots == 8
    assert not any(row.answer in contents for row in split.validation)
    assert told.cost == pytest.approx((2.0 * told.input_tokens + 8.0 * told.output_tokens) / 1e6, rel=0.01)
    text = told.describe()
    for words in (endpoint[1], "toy", "8 training examples", f"{told.max_calls:,} calls", "tokens to read"):
        assert words in text


def write_answers(path: Path, answer: Callable[[int], str]) -> Path:
    rows = [[Message("user", f"what of {n}?"), Message("assistant", answer(n))] for n in range(40)]
    texts = [{"messages": [{"role": m.role, "content": m.content} for m in row]} for row in rows]
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
    return path


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (lambda n: ("refund", "delivery")[n % 2], "refund"),
        (lambda n: f"{n}-{n:03d}-{n + 7}", "-0"),
        (lambda n: json.dumps({"colour": ("red", "blue")[n % 2]}), "colour"),
    ],
    ids=["labels", "pattern", "json"],
)
def test_what_is_made_from_training_answers_and_sent_is_told(
    tmp_path: Path, spec: RunSpec, settings: Settings, answer: Callable[[int], str], sent: str
) -> None:
    split = split_of(spec.model_copy(update={"data": write_answers(tmp_path / "rows.jsonl", answer)}))
    wordings = list_wordings(split.train, "Be brief.")
    told = disclose("http://x/v1", ["remote:toy"], split, wordings, tmp_path, settings).describe()
    assert "the instruction, the inputs of" in told
    assert sent in " ".join(wording.instruction or "" for wording in wordings[1:])
    assert "the form of all training answers in words, with labels or sample answers among them" in told
    assert ("a JSON schema made from the training answers" in told) == (sent == "colour")


def test_what_is_not_sent_is_not_told(tmp_path: Path, spec: RunSpec, settings: Settings) -> None:
    split = split_of(spec)
    told = disclose("http://x/v1", ["remote:toy"], split, [Wording(None)], tmp_path, settings).describe()
    assert "would be sent the inputs of" in told
    assert not any(words in told for words in ("instruction", "form of", "schema"))


def test_a_test_in_which_calls_failed_is_told_and_asked_again_by_the_same_command(
    tmp_path: Path,
    spec: RunSpec,
    settings: Settings,
    endpoint: tuple[CountingEngine, str],
    faults: Faults,
) -> None:
    faults[split_of(spec).test.read("which fails")[0].turns[-1].content] = RequestError("not this one")
    alone, told = spec.model_copy(update={"approaches": ("majority", "remote:toy")}), Told()
    first = pipeline.run(alone, tmp_path / "run", told, settings, Asked())
    assert first.approaches[1].failed == 1
    said = next(line for line in told.lines if "calls of remote:toy failed" in line)
    assert "the same command will ask it anew" in said
    assert "not this one" in said
    faults.clear()
    asked, before = Asked(), len(endpoint[0].asked)
    again = pipeline.run(alone, tmp_path / "run", settings=settings, consent=asked)
    assert (again.approaches[1].failed, len(asked.disclosures)) == (0, 1)
    assert len(endpoint[0].asked) - before == again.test_examples + 1


def test_a_finished_run_asks_nobody_and_sends_nothing(
    done: Done, spec: RunSpec, settings: Settings, endpoint: tuple[CountingEngine, str]
) -> None:
    out, verdict, _, _ = done
    before = len(endpoint[0].asked)
    assert pipeline.run(spec, out, settings=settings) == verdict
    assert len(endpoint[0].asked) == before


def test_only_what_is_missing_is_asked_about_and_sent(
    done: Done, spec: RunSpec, settings: Settings, endpoint: tuple[CountingEngine, str]
) -> None:
    out, verdict, _, _ = done
    (out / "stages" / "test-remote:toy.json").unlink()
    asked, before = Asked(), len(endpoint[0].asked)
    again = pipeline.run(spec, out, settings=settings, consent=asked)
    (told,) = asked.disclosures
    assert told.validation_inputs == 0
    assert len(endpoint[0].asked) - before == verdict.test_examples + 1
    assert [row.score for row in again.approaches] == [row.score for row in verdict.approaches]


@pytest.mark.parametrize("consent", [{}, {"consent": Asked(answer=False)}])
def test_nothing_is_sent_where_nobody_agrees(
    tmp_path: Path,
    spec: RunSpec,
    settings: Settings,
    endpoint: tuple[CountingEngine, str],
    consent: dict[str, Any],
) -> None:
    before = len(endpoint[0].asked)
    with pytest.raises(ConsentError, match=r"nothing was sent to http://127\.0\.0\.1.*remote:toy"):
        pipeline.run(spec, tmp_path / "run", settings=settings, **consent)
    assert len(endpoint[0].asked) == before
    assert not (tmp_path / "run").exists()


def test_a_run_without_remote_rivals_asks_nobody(tmp_path: Path, spec: RunSpec, settings: Settings) -> None:
    def never(disclosure: Disclosure) -> bool:
        raise AssertionError("there is nothing to ask about")

    alone = spec.model_copy(update={"approaches": ("majority",), "base": str(spec.base), "remote_url": None})
    verdict = pipeline.run(alone, tmp_path / "run", settings=settings, consent=never)
    assert [row.name for row in verdict.approaches] == ["majority"]


def test_an_endpoint_out_of_reach_stops_the_run_before_the_base_is_looked_for(
    tmp_path: Path, spec: RunSpec, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    listener = listen("127.0.0.1", 0)
    url = f"{url_of(listener)}/v1"
    listener.close()
    nowhere = spec.model_copy(update={"remote_url": url, "base": str(tmp_path / "no-such-base")})
    with pytest.raises(EndpointError, match=f"the connection to {url} failed: Connection refused"):
        pipeline.run(nowhere, tmp_path / "run", settings=settings, consent=Asked())
    assert not (tmp_path / "run").exists()


def test_a_model_that_the_endpoint_lacks_stops_the_run_too(
    tmp_path: Path, spec: RunSpec, settings: Settings
) -> None:
    unknown = spec.model_copy(update={"approaches": ("remote:org/none",)})
    with pytest.raises(ModelNotFoundError, match=r"answered 404: .*org/none"):
        pipeline.run(unknown, tmp_path / "run", settings=settings, consent=Asked())


def test_rows_with_tools_are_refused_before_anybody_is_asked(
    tmp_path: Path, spec: RunSpec, settings: Settings
) -> None:
    tools = '"tools": [{"type": "function", "function": {"name": "f"}}], '
    rows = spec.data.read_text("utf-8").replace('{"messages"', "{" + tools + '"messages"')
    with_tools = tmp_path / "tools.jsonl"
    with_tools.write_text(rows, "utf-8")
    others = tmp_path / "others.jsonl"
    others.write_text(
        rows.replace('"role": "user", "content": "', '"role": "user", "content": "not '), "utf-8"
    )
    asked = Asked()
    for changes in ({"data": with_tools}, {"test": others}):
        with pytest.raises(SpecError, match="remote:toy cannot be asked about rows with tools"):
            pipeline.run(spec.model_copy(update=changes), tmp_path / "run", settings=settings, consent=asked)
    assert asked.disclosures == []


# --- How it is prompted ------------------------------------------------------------------------------


@pytest.fixture
def remote(endpoint: tuple[CountingEngine, str]) -> Iterator[RemoteEngine]:
    with closing(open_remote_engine(RemoteSpec(base_url=endpoint[1], model="toy", max_retries=0))) as engine:
        yield engine


def test_setups_that_the_endpoint_cannot_hold_answers_to_are_left_out(
    spec: RunSpec, remote: RemoteEngine
) -> None:
    split = split_of(spec)
    wordings = [
        Wording("Count."),
        Wording("Count.", Grammar("lark", 'start: "1"'), "own grammar"),
        Wording("Count.", Grammar("json_schema", '{"type": "integer"}'), "schema"),
    ]
    told = Told()
    choice = choose(wordings, split, remote, told)
    notes = {label.rpartition(", ")[2] for label in choice.scores}
    assert "schema" in notes
    assert "own grammar" not in notes
    assert list(choice.setups) == ["remote:toy"]
    assert [line for line in told.lines if "takes no lark grammar" in line]


def choose(
    wordings: Sequence[Wording], split: Split, engine: RemoteEngine, progress: SilentProgress
) -> PromptChoice:
    return choose_remote_prompts(
        f"remote:{engine.base_id}",
        wordings,
        Shown("base", split.train, 0, fits=lambda *_: True),
        split.validation[:2],
        engine,
        Decoding(choose_scoring(split.train), 5),
        "exact_match",
        progress,
    )


@pytest.mark.parametrize(
    ("fault", "is_tried", "words"),
    [
        (RequestError("no schemas here"), False, "no prompt with the form of the answers enforced is tried"),
        (OverloadedError("too busy"), True, "whether it takes a schema is not known"),
    ],
)
def test_a_refusal_of_a_schema_is_told_from_a_passing_fault_and_both_are_said(
    spec: RunSpec,
    remote: RemoteEngine,
    faults: Faults,
    fault: TunewiseError,
    is_tried: bool,
    words: str,
) -> None:
    grammar = Grammar("json_schema", '{"type": "integer"}')
    told = Told()
    faults[grammar] = fault
    choice = choose([Wording("Count."), Wording("Count.", grammar, "schema")], split_of(spec), remote, told)
    assert any("schema" in label for label in choice.scores) == is_tried
    (said,) = (line for line in told.lines if line.startswith("remote:toy"))
    assert words in said
    assert str(fault) in said


def test_no_prompt_is_chosen_among_failures(spec: RunSpec, endpoint: tuple[CountingEngine, str]) -> None:
    split = split_of(spec)
    gone = RemoteSpec(base_url=endpoint[1], model="gone", max_retries=0)
    with closing(open_remote_engine(gone)) as engine, pytest.raises(ModelNotFoundError, match="404"):
        choose([Wording("Count.")], split, engine, SilentProgress())


def test_answers_are_not_kept_where_every_call_failed(spec: RunSpec, remote: RemoteEngine) -> None:
    split = split_of(spec)
    gone = Prompted("remote:gone", "gone")
    with pytest.raises(EndpointError, match="every call of remote:gone failed, the first as http"):
        ask_remote(
            gone, split.validation[:2], remote, Decoding(choose_scoring(split.train), 5), SilentProgress()
        )


def test_failed_calls_among_others_stay_failed(spec: RunSpec, remote: RemoteEngine) -> None:
    split = split_of(spec)
    long = replace(split.train[0].messages[0], content="x" * 600)
    rows = [split.train[1], replace(split.train[0], messages=(long, split.train[0].messages[1]))]
    run = ask_remote(
        Prompted("remote:toy", "toy"),
        rows,
        remote,
        Decoding(choose_scoring(split.train), 5),
        SilentProgress(),
    )
    assert [score.status for score in run.scores] == ["answered", "failed"]
    assert run.scores[1].metrics["exact_match"] is None


def test_a_price_is_that_of_the_model_or_else_of_all(settings: Settings) -> None:
    assert settings.token_price("toy") == TokenPrice(2.0, 8.0)
    assert settings.token_price("other") == TokenPrice(1.0, 8.0)
    assert replace(settings, output_prices={}).token_price("toy") is None
