"""The embedded model and an adapter trained on it, in a real vLLM server and in the local engine.

`make test-vllm` makes vLLM's environment and runs this; TUNEWISE_VLLM names its `vllm` program.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from safetensors.torch import load_file, save_file

from tunewise import pipeline
from tunewise.data.dataset import read_dataset
from tunewise.engines import VllmSpec, open_engine, open_vllm_engine
from tunewise.engines.base import Engine
from tunewise.engines.vllm import VllmEngine
from tunewise.errors import EndpointError, ModelNotFoundError, ModelUnavailableError, RequestError
from tunewise.models.base import BaseModel
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Completion, Example, Message
from tunewise.run_spec import RunSpec
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, read_jsonl, write_json
from tunewise.store.registry import Registry
from tunewise.train.spec import TrainSpec

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1800)]

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
CLOSE = 1e-3
"""Nats; what the parity certificate allows in float32."""


@dataclass(frozen=True)
class Run:
    """What `tunewise run --engine vllm` left."""

    out: Path
    verdict: Any
    manifest: Any
    children: str
    """The processes of this one after it."""

    @property
    def adapter(self) -> Path:
        return self.out / "model"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, embedded_base: BaseModel) -> Settings:
    home = tmp_path_factory.mktemp("home")
    (home / "cache").symlink_to(embedded_base.folder.parent)
    return replace(get_settings(), home=home, organization="test", device="cpu", vllm_precision=None)


@pytest.fixture(scope="module")
def run(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    lines = PRICES.read_text("utf-8").splitlines()[:80]
    (folder / "prices.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    spec = RunSpec(
        data=folder / "prices.jsonl",
        engine="vllm",
        approaches=("zero-shot", "fine-tuned"),
        suffix="prices",
        training=TrainSpec(epochs=1, rank=8, validations=2),
    )
    pipeline.run(spec, folder / "out", SilentProgress(), settings)
    return Run(
        folder / "out",
        read_json(folder / "out" / "verdict.json"),
        read_json(folder / "out" / "manifest.json"),
        children_of_this_process(),
    )


@pytest.fixture(scope="module")
def local(embedded_base: BaseModel, run: Run) -> Iterator[Engine]:
    with closing(open_engine(embedded_base)) as engine:
        engine.load("ft:prices", run.adapter)
        yield engine


@pytest.fixture(scope="module")
def vllm(embedded_base: BaseModel, run: Run, settings: Settings) -> Iterator[VllmEngine]:
    with closing(open_vllm_engine(embedded_base, settings=settings)) as engine:
        engine.load("ft:prices", run.adapter)
        yield engine


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """Some that the run has not seen."""
    return read_dataset(PRICES).examples[200:220]


def children_of_this_process() -> str:
    command = ["ps", "--ppid", str(os.getpid()), "-o", "args="]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def ask(question: str, model: str = "ft:prices", **fields: Any) -> ChatRequest:
    return ChatRequest(model, (Message("user", question),), **{"max_tokens": 24, **fields})


def texts(completions: list[Completion]) -> list[str]:
    assert [completion.error for completion in completions] == [None] * len(completions)
    return [completion.text for completion in completions]


# --- A whole run ---------------------------------------------------------------------------------------


def test_a_run_through_vllm_measures_trains_and_certifies(run: Run) -> None:
    scores = read_jsonl(run.out / "scores.jsonl")
    assert {score["status"] for score in scores} == {"answered"}
    assert {score["approach"] for score in scores} == {"zero-shot", "fine-tuned"}
    assert read_json(run.out / "run.json")["engine"] == run.manifest["spec"]["engine"] == "vllm"
    parity = run.manifest["parity"]
    assert parity["passed"]
    assert (parity["precision"], parity["tolerance"], parity["ids_equal"]) == ("float32", CLOSE, True)
    assert parity["tokens"] > 50


def test_a_run_leaves_no_server_behind(run: Run, settings: Settings) -> None:
    assert "vllm" not in run.children
    assert list((settings.home / "logs").iterdir()) == []


# --- The same answers as the local engine's ------------------------------------------------------------


def test_base_and_adapter_asked_together_answer_as_the_local_engine_does(
    vllm: VllmEngine, local: Engine, examples: list[Example]
) -> None:
    requests = [ChatRequest("ft:prices", example.turns, 40) for example in examples]
    requests += [ChatRequest(vllm.base_id, example.prompt, 40) for example in examples]
    theirs, ours = vllm.generate(requests), local.generate(requests)
    assert texts(theirs) == texts(ours)
    for their, our in zip(theirs, ours, strict=True):
        assert (their.finish_reason, their.input_tokens) == (our.finish_reason, our.input_tokens)
        assert their.output_tokens == our.output_tokens
    assert len(set(texts(ours)[:20])) > 10
    assert set(texts(ours)[:20]).isdisjoint(texts(ours)[20:])


def test_scores_are_those_of_the_local_engine(
    vllm: VllmEngine, local: Engine, examples: list[Example]
) -> None:
    for model in (vllm.base_id, "ft:prices"):
        for example in examples[:4]:
            asked = model, (*example.turns, example.messages[-1])
            assert vllm.token_ids(*asked) == local.token_ids(*asked)
            assert vllm.score(*asked) == pytest.approx(local.score(*asked), abs=CLOSE)
    assert vllm.count_answer_tokens("ft:prices", "3 kg") == local.count_answer_tokens("ft:prices", "3 kg")


def test_the_server_is_given_the_prompt_and_no_token_more(vllm: VllmEngine) -> None:
    request = ask("2000 zl", top_logprobs=0)
    endpoint, sent = vllm._connected(), vllm._dialect.body(request) | {"return_token_ids": True}
    reply: Any = endpoint.call("post", "/completions", lambda raw: raw, sent)
    assert reply["choices"][0]["prompt_token_ids"] == sent["prompt"]
    assert len(sent["prompt"]) == vllm.count_tokens("ft:prices", request.messages)
    # The template of the adapter opens with no system block, the base's with one.
    assert vllm.count_tokens(vllm.base_id, request.messages) > len(sent["prompt"]) + 15


def test_a_stream_is_the_answer_in_pieces(vllm: VllmEngine, local: Engine) -> None:
    requests = [ask("What is the capital of France? Say it in a sentence.", vllm.base_id), ask("5 € a día")]
    deltas = list(vllm.stream(*requests))
    for index, whole in enumerate(local.generate(requests)):
        pieces = [delta.text for delta in deltas if delta.index == index and not delta.completion]
        assert len(pieces) > 3
        assert "".join(pieces) == whole.text
        [last] = [delta.completion for delta in deltas if delta.index == index and delta.completion]
        assert (last.text, last.finish_reason) == (whole.text, whole.finish_reason)


def test_a_stop_string_ends_the_answer_before_it(vllm: VllmEngine, local: Engine) -> None:
    request = ask("1.299,00 EUR", stop=(', "cur', "never"), top_logprobs=2)
    [theirs], [ours] = vllm.generate([request]), local.generate([request])
    assert (theirs.text, theirs.finish_reason) == (ours.text, "stop")
    assert "cur" not in theirs.text
    *pieces, last = vllm.stream(request)
    assert "".join(piece.text for piece in pieces) == ours.text
    assert last.completion is not None
    told = [token.bytes for token in ours.logprobs]
    assert [token.bytes for token in theirs.logprobs] == told
    assert [token.bytes for piece in pieces for token in piece.logprobs] == told
    assert [token.bytes for token in last.completion.logprobs] == told


def test_log_probabilities_are_the_models_own(vllm: VllmEngine, local: Engine) -> None:
    request = ask("3 kg", top_logprobs=3, logit_bias={30: -50.0}, presence_penalty=0.5)
    [theirs], [ours] = vllm.generate([request]), local.generate([request])
    for their, our in zip(theirs.logprobs, ours.logprobs, strict=True):
        assert (their.bytes, their.logprob) == (our.bytes, pytest.approx(our.logprob, abs=CLOSE))
        assert [top.bytes for top in their.top] == [top.bytes for top in our.top]
        assert [t.logprob for t in their.top] == pytest.approx([t.logprob for t in our.top], abs=CLOSE)


def test_penalties_and_biases_choose_as_in_the_local_engine(vllm: VllmEngine, local: Engine) -> None:
    question = "Name fruits, separated by commas."
    biased = dict.fromkeys(range(300, 320), 4.0)
    requests = [
        ask(question, vllm.base_id, frequency_penalty=1.5),
        ask(question, vllm.base_id, presence_penalty=-1.0),
        ask(question, vllm.base_id, logit_bias=biased),
    ]
    answers = texts(vllm.generate(requests))
    assert answers == texts(local.generate(requests))
    assert len(set(answers)) == 3


def test_a_seed_repeats_an_answer(vllm: VllmEngine) -> None:
    def answers(seed: int | None) -> list[str]:
        return texts(vllm.generate([ask("Tell a story.", vllm.base_id, temperature=1.5, seed=seed)] * 2))

    assert len(set(answers(7))) == 1
    assert len(set(answers(-1))) == 1
    assert answers(7) != answers(8)
    assert len(set(answers(None))) == 2


# --- Adapters come and go ------------------------------------------------------------------------------


def test_another_adapter_under_the_same_id_gives_other_answers(
    vllm: VllmEngine, local: Engine, run: Run, tmp_path: Path
) -> None:
    question = Message("user", "1.299,00 EUR incl. VAT, and shipping is free of charge above 50 EUR.")
    answered = [question, Message("assistant", "{}")]
    vllm.load("ft:again", run.adapter)
    before = vllm.score("ft:again", answered)
    folder = tmp_path / "damped"
    shutil.copytree(run.adapter, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: tensor * 0.5 for name, tensor in weights.items()}, folder / "adapter_model.safetensors")
    for engine in (vllm, local):
        engine.load("ft:again", folder)
    after = vllm.score("ft:again", answered)
    assert after == pytest.approx(local.score("ft:again", answered), abs=CLOSE)
    assert after != pytest.approx(before, abs=0.1)
    vllm.unload("ft:again")
    assert vllm.models() == [vllm.base_id, "ft:prices"]
    with pytest.raises(ModelNotFoundError, match="ft:again"):
        vllm.stream(ask("a", "ft:again"))
    assert "ft:again" not in {card.id for card in vllm._connected().models()}


def test_the_base_stays_itself_beside_as_many_adapters_as_there_are_slots(
    vllm: VllmEngine, local: Engine, run: Run
) -> None:
    names = [f"ft:{number}" for number in range(5)]
    for name in names:
        vllm.load(name, run.adapter)
    [base, tuned] = texts(local.generate([ask("2000 zl", local.base_id), ask("2000 zl")]))
    for name in names:
        assert texts(vllm.generate([ask("2000 zl", vllm.base_id), ask("2000 zl", name)])) == [base, tuned]
        vllm.unload(name)


def test_what_is_not_there_or_does_not_fit_is_named(vllm: VllmEngine, run: Run, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nobody"):
        vllm.stream(ask("a", "nobody"))
    with pytest.raises(RequestError, match="the context of ft:prices holds 8192"):
        vllm.stream(ask("price " * 9000))
    damaged = tmp_path / "damaged"
    shutil.copytree(run.adapter, damaged)
    (damaged / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelUnavailableError, match="cannot be served"):
        vllm.load("ft:damaged", damaged)


def test_a_running_server_is_attached_to_and_left_running(
    vllm: VllmEngine, embedded_base: BaseModel, run: Run, tmp_path: Path
) -> None:
    assert vllm._server is not None
    spec = VllmSpec(base_url=vllm._server.url)
    with closing(VllmEngine(embedded_base, spec, home=tmp_path, api_key=vllm._server.key)) as attached:
        attached.load("ft:guest", run.adapter)
        same = texts(attached.generate([ask("2000 zl", "ft:guest"), ask("2000 zl", attached.base_id)]))
        wide = widened(run.adapter, tmp_path / "wide", rank=32)
        with pytest.raises(ModelUnavailableError, match="rank"):
            attached.load("ft:wide", wide)
    assert same == texts(vllm.generate([ask("2000 zl"), ask("2000 zl", vllm.base_id)]))
    with pytest.raises(EndpointError, match="check the key in TUNEWISE_VLLM_KEY"):
        VllmEngine(embedded_base, spec, home=tmp_path, api_key="wrong")


def widened(adapter: Path, folder: Path, rank: int) -> Path:
    """The same adapter with rows of zeros, as one of a larger rank."""
    shutil.copytree(adapter, folder)
    config = read_json(folder / "adapter_config.json")
    factor = rank // config["r"]
    scaled = config | {"r": rank, "lora_alpha": config["lora_alpha"] * factor}
    write_json(folder / "adapter_config.json", scaled)
    tensors = load_file(folder / "adapter_model.safetensors")
    padded = {
        name: torch.cat([tensor, *[torch.zeros_like(tensor)] * (factor - 1)], dim=int(".lora_B." in name))
        for name, tensor in tensors.items()
    }
    save_file({name: t.contiguous() for name, t in padded.items()}, folder / "adapter_model.safetensors")
    return folder


# --- Behind the API, and starting again ----------------------------------------------------------------


def test_the_api_serves_base_and_tuned_model_through_vllm(
    vllm: VllmEngine, run: Run, settings: Settings
) -> None:
    model = run.verdict["model"]
    question: Any = [{"role": "user", "content": "2000 zl"}]
    app = create_app(vllm, Registry(settings.registry), base="embedded")
    with background_server(app) as url, OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        reply = client.chat.completions.create(
            model=model, messages=question, temperature=0, max_tokens=24, n=2, logprobs=True, top_logprobs=1
        )
        stream = client.chat.completions.create(
            model=model, messages=question, temperature=0, max_tokens=24, stream=True
        )
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    [answer] = texts(vllm.generate([ask("2000 zl")]))
    assert [choice.message.content for choice in reply.choices] == [answer, answer]
    assert streamed == answer
    assert reply.choices[0].logprobs is not None


def test_a_larger_rank_starts_the_server_again(vllm: VllmEngine, run: Run, tmp_path: Path) -> None:
    [answer] = texts(vllm.generate([ask("2000 zl")]))
    server = vllm._server
    vllm.load("ft:wide", widened(run.adapter, tmp_path / "wide", rank=32))
    assert vllm._server is not server
    assert texts(vllm.generate([ask("2000 zl"), ask("2000 zl", "ft:wide")])) == [answer, answer]
    vllm.unload("ft:wide")


def test_a_server_that_was_killed_is_named_and_started_again(vllm: VllmEngine) -> None:
    [answer] = texts(vllm.generate([ask("2000 zl")]))
    answers = vllm.stream(ask("Tell a long story.", vllm.base_id, max_tokens=2000))
    next(answers)
    assert vllm._server is not None
    os.killpg(vllm._server._process.pid, signal.SIGKILL)
    with pytest.raises(EndpointError):
        list(answers)
    assert texts(vllm.generate([ask("2000 zl")])) == [answer]


def test_a_server_that_cannot_start_says_why(
    embedded_base: BaseModel, settings: Settings, tmp_path: Path
) -> None:
    shutil.copytree(embedded_base.folder, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    base = replace(embedded_base, folder=tmp_path / "base")
    with pytest.raises(EndpointError, match=r"vLLM ended: .*deserializing header"):
        open_vllm_engine(base, settings=settings)
