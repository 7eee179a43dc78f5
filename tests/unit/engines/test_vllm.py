"""What a real vLLM server will not do on demand; what it does is in tests/integration/test_real_vllm.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from toy import make_model, make_tokenizer
from tunewise.engines import VllmSpec, open_vllm_engine
from tunewise.engines.vllm import VllmEngine
from tunewise.engines.vllm_server import VllmServer, last_useful_line
from tunewise.errors import (
    EndpointError,
    ModelNotFoundError,
    ModelUnavailableError,
    RequestError,
    SpecError,
)
from tunewise.models.adapters import load_adapter, save_adapter
from tunewise.models.base import BaseModel
from tunewise.records import JSON_OBJECT, ChatRequest, Message, TokenLogprob, Tool
from tunewise.settings import read_settings

NOT_FOUND = {"error": {"message": "it cannot be found.", "type": "NotFoundError", "param": None, "code": 404}}
BARE = "{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}"


class FakeVllm(ThreadingHTTPServer):
    """Replies to each path what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.loaded = 200, b"Success"
        self.unloaded = 404, json.dumps(NOT_FOUND).encode()
        self.completed = 200, completion("ok")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body in self.asked if asked == path]


class Handler(BaseHTTPRequestHandler):
    server: FakeVllm

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        cards = [{"id": "served", "parent": None, "max_model_len": 100}, {"id": "old", "parent": "served"}]
        self.reply(200, json.dumps({"data": cards}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path.removeprefix("/v1"), body))
        match self.path:
            case "/v1/load_lora_adapter":
                self.reply(*self.server.loaded)
            case "/v1/unload_lora_adapter":
                self.reply(*self.server.unloaded)
            case _:
                self.reply(*self.server.completed)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json" if body[:1] in b"{[" else "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def completion(text: str, **fields: Any) -> bytes:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    choice = {"text": text, "finish_reason": "stop", "stop_reason": None, **fields}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("base")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return BaseModel("toy", str(folder), folder)


@pytest.fixture
def server() -> Iterator[FakeVllm]:
    with FakeVllm() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def engine(server: FakeVllm, base: BaseModel, tmp_path: Path) -> Iterator[VllmEngine]:
    with closing(VllmEngine(base, VllmSpec(base_url=server.url), home=tmp_path)) as engine:
        yield engine


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    save_adapter(folder, {"model.layers.0.mlp.down_proj": (torch.ones(4, 48), torch.ones(32, 4))}, 4, 8.0, "")
    (folder / "chat_template.jinja").write_text(BARE)
    return folder


def ask(question: str = "hi", model: str = "toy", **fields: Any) -> ChatRequest:
    return ChatRequest(model, (Message("user", question),), **{"max_tokens": 16, **fields})


# --- What is sent --------------------------------------------------------------------------------------


def test_a_prompt_is_sent_as_the_ids_of_its_models_own_template(
    engine: VllmEngine, server: FakeVllm, adapter: Path
) -> None:
    engine.load("ft:a", adapter)
    engine.generate([ask("hi"), ask("hi", model="ft:a")])
    base, tuned = sorted(server.bodies("/completions"), key=lambda body: -len(body["prompt"]))
    tokenizer = make_tokenizer()
    assert tokenizer.decode(base["prompt"]) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(tuned["prompt"]) == "<|im_start|>hi<|im_end|>"
    assert tuned["model"] == "ft:a"
    assert base["stop_token_ids"] == tuned["stop_token_ids"] == [1]
    assert engine.count_tokens("ft:a", ask("hi").messages) == len(tuned["prompt"]) == 4
    assert engine.models() == ["toy", "ft:a"]


def test_what_the_server_would_take_from_the_model_is_said_each_time(
    engine: VllmEngine, server: FakeVllm
) -> None:
    engine.generate([ask(seed=-1, logit_bias={5: 1.0}, grammar=JSON_OBJECT)])
    [body] = server.bodies("/completions")
    assert body["response_format"] == {"type": "json_object"}
    assert (body["temperature"], body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0, 0, 1)
    assert (body["seed"], body["logit_bias"]) == (2**63 - 1, {"5": 1.0})


def test_an_adapter_is_loaded_afresh_from_where_it_is(
    engine: VllmEngine, server: FakeVllm, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(adapter.parent)
    engine.load("ft:a", Path("adapter"))
    assert server.asked[-2:] == [
        ("/unload_lora_adapter", {"lora_name": "ft:a"}),
        ("/load_lora_adapter", {"lora_name": "ft:a", "lora_path": str(adapter)}),
    ]


def test_beside_adapters_the_base_is_asked_as_one_that_changes_nothing(
    engine: VllmEngine, server: FakeVllm, adapter: Path
) -> None:
    engine.generate([ask()])
    for model in ("ft:a", "ft:b"):
        engine.load(model, adapter)
    engine.generate([ask()])
    zeros, *others = server.bodies("/load_lora_adapter")
    assert [body["model"] for body in server.bodies("/completions")] == ["served", zeros["lora_name"]]
    assert [body["lora_name"] for body in others] == ["ft:a", "ft:b"]
    [(a, b)] = load_adapter(Path(zeros["lora_path"]), torch.device("cpu"), torch.float32).layers.values()
    assert (a.shape, b.shape) == ((4, 48), (32, 4))
    assert not (a @ a.T).any()
    assert not b.any()


def test_on_a_gpu_the_base_is_asked_as_itself(
    base: BaseModel, server: FakeVllm, adapter: Path, tmp_path: Path
) -> None:
    spec = VllmSpec(base_url=server.url, base_as_adapter=False)
    with closing(VllmEngine(base, spec, home=tmp_path)) as engine:
        engine.load("ft:a", adapter)
        engine.generate([ask()])
    assert [body["model"] for body in server.bodies("/completions")] == ["served"]


def test_what_cannot_be_answered_is_not_sent(engine: VllmEngine, server: FakeVllm) -> None:
    with pytest.raises(RequestError, match="the context of toy holds 100"):
        engine.stream(ask("x" * 50))
    with pytest.raises(RequestError, match="no token 258"):
        engine.stream(ask(logit_bias={258: 1.0}))
    with pytest.raises(RequestError, match="calls of tools"):
        engine.check(ask(tools=(Tool("dice"),)))
    with pytest.raises(ModelNotFoundError):
        engine.stream(ask(model="served"))
    with pytest.raises(ModelNotFoundError):
        engine.unload("old")
    assert server.asked == []


# --- What comes back -----------------------------------------------------------------------------------


def test_tokens_of_a_stop_string_and_of_the_end_of_turn_are_not_told(
    engine: VllmEngine, server: FakeVllm
) -> None:
    ids = [*make_tokenizer().encode("aé!", add_special_tokens=False), 1]
    names = [f"token_id:{id}" for id in ids]
    tops = [{name: -0.5, "token_id:2": -9.0, "token_id:3": -0.1} for name in names]
    logprobs = {"tokens": names, "token_logprobs": [-0.5] * len(ids), "top_logprobs": tops}
    server.completed = 200, completion("aé!", logprobs=logprobs, stop_reason=1)
    [whole] = engine.generate([ask(top_logprobs=1)])
    assert [token.bytes for token in whole.logprobs] == [b"a", b"\xc3", b"\xa9", b"!"]
    likeliest = TokenLogprob(make_tokenizer().convert_ids_to_tokens(3).encode(), -0.1)
    assert whole.logprobs[0] == TokenLogprob(b"a", -0.5, (likeliest,))
    server.completed = 200, completion("a", logprobs=logprobs, stop_reason="é")
    [cut] = engine.generate([ask(top_logprobs=0, stop=("é",))])
    assert [(token.bytes, token.top) for token in cut.logprobs] == [(b"a", ())]


@pytest.mark.parametrize("body", [b"{not json", b"<html>", b"{}", b'{"choices": []}', b'{"choices": [{}]}'])
def test_an_answer_that_is_none(engine: VllmEngine, server: FakeVllm, body: bytes) -> None:
    server.completed = 200, body
    [answer] = engine.generate([ask()])
    assert "something other than the OpenAI API's JSON" in (answer.error or "")
    with pytest.raises(EndpointError):
        engine.score("toy", [*ask().messages, Message("assistant", "a")])


def test_an_answer_that_was_given_up_is_an_error(engine: VllmEngine, server: FakeVllm) -> None:
    server.completed = 200, completion("half", finish_reason="abort")
    [answer] = engine.generate([ask()])
    assert "no whole answer: it ended with abort" in (answer.error or "")


@pytest.mark.parametrize("num_tokens", [0, 1, 4000])
def test_scores_of_other_tokens_are_no_scores(engine: VllmEngine, server: FakeVllm, num_tokens: int) -> None:
    server.completed = 200, completion("", prompt_logprobs=[None] * num_tokens)
    with pytest.raises(EndpointError, match="JSON"):
        engine.score("toy", [*ask().messages, Message("assistant", "a")])


# --- What the server refuses ---------------------------------------------------------------------------


def test_an_adapter_that_the_server_cannot_load_is_unavailable(
    engine: VllmEngine, server: FakeVllm, adapter: Path
) -> None:
    for status in (400, 404, 500):
        server.loaded = status, json.dumps(NOT_FOUND).encode()
        with pytest.raises(ModelUnavailableError, match=f"answered {status}: it cannot be found"):
            engine.load("ft:a", adapter)
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelUnavailableError, match="no readable adapter"):
        engine.load("ft:a", adapter)
    assert engine.models() == ["toy"]


def test_a_server_that_takes_no_adapters_says_how_to_start_it(
    engine: VllmEngine, server: FakeVllm, adapter: Path
) -> None:
    server.loaded = server.unloaded = 404, b'{"detail": "Not Found"}'
    with pytest.raises(EndpointError, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"):
        engine.load("ft:a", adapter)


def test_a_server_that_is_not_there(base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="Connection refused"):
        VllmEngine(base, VllmSpec(base_url="http://127.0.0.1:1/v1"), home=tmp_path)
    assert [thread.name for thread in threading.enumerate() if "endpoint" in thread.name] == []


# --- A server of our own, with something else in vLLM's place ------------------------------------------

SERVES = """
import http.server, os, sys, subprocess, time
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        self.send_response(200); self.send_header("content-type", "application/json"); self.end_headers()
        self.wfile.write(b'{"data": [{"id": "toy"}]}')
    def do_POST(self): time.sleep(600)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, *sys.argv[1:], os.environ["VLLM_ALLOW_RUNTIME_LORA_UPDATING"], flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""
DIES = """
raise SystemExit('''(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] Traceback (most recent call last):
(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1]   File "core.py", line 1, in run
(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] ValueError: no memory for the KV cache
(APIServer pid=6) Traceback (most recent call last):
(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above.
sys:1: ResourceWarning: unclosed socket''')
"""


def program(folder: Path, source: str) -> str:
    path = folder / "vllm"
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return str(path)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_a_server_of_our_own_is_asked_and_ended_with_all_that_it_started(
    base: BaseModel, tmp_path: Path
) -> None:
    spec = VllmSpec(command=program(tmp_path, SERVES), max_lora_rank=9)
    engine = VllmEngine(base, spec, home=tmp_path)
    [log] = (tmp_path / "logs").iterdir()
    worker, said = log.read_text().split(" ", 1)
    assert said.startswith(f"serve {base.folder} --enable-lora --host 127.0.0.1 --port ")
    assert "--served-model-name toy --dtype float32 --max-loras 5 --max-lora-rank 16 " in said
    assert said.endswith("True\n")
    assert is_running(int(worker))
    engine.rest()
    assert wait_until_gone(int(worker))
    assert list((tmp_path / "logs").iterdir()) == []
    engine.close()
    with pytest.raises(RequestError, match="closed"):
        engine.generate([ask()])


def test_a_server_ends_when_whoever_started_it_is_killed(base: BaseModel, tmp_path: Path) -> None:
    spec = VllmSpec(command=program(tmp_path, SERVES))
    script = (
        "import sys, time; from pathlib import Path; from tunewise.engines.vllm_server import VllmServer\n"
        "from tunewise.engines.vllm_spec import VllmSpec\n"
        "server = VllmServer(VllmSpec(command=sys.argv[1]), Path('base'), 'toy', Path(sys.argv[2]))\n"
        "server.wait_until_ready(60); print('ready', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", script, spec.command, str(tmp_path / "logs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"
        [log] = (tmp_path / "logs").iterdir()
        worker = int(log.read_text().split()[0])
        assert is_running(worker)
        starter.send_signal(signal.SIGKILL)
    assert wait_until_gone(worker)


def test_a_server_that_dies_says_why_and_leaves_its_log(base: BaseModel, tmp_path: Path) -> None:
    spec = VllmSpec(command=program(tmp_path, DIES))
    with pytest.raises(EndpointError, match="vLLM ended: ValueError: no memory for the KV cache; its log"):
        VllmEngine(base, spec, home=tmp_path)
    assert "ResourceWarning" in next((tmp_path / "logs").iterdir()).read_text()


def test_a_server_that_is_never_ready_is_given_up(base: BaseModel, tmp_path: Path) -> None:
    command = program(tmp_path, "import time; print('loading', flush=True); time.sleep(600)")
    server = VllmServer(VllmSpec(command=command), base.folder, "toy", tmp_path)
    with pytest.raises(EndpointError, match=r"not ready after 0.3 s"):
        server.wait_until_ready(0.3)
    assert server.reason_to_end() == "the vLLM server was ended"


def test_a_server_that_died_is_named_and_the_next_request_starts_another(
    base: BaseModel, tmp_path: Path
) -> None:
    with closing(VllmEngine(base, VllmSpec(command=program(tmp_path, SERVES)), home=tmp_path)) as engine:
        answers = engine.stream(ask())
        assert engine._server is not None
        os.killpg(engine._server._process.pid, signal.SIGKILL)
        with pytest.raises(EndpointError, match="vLLM ended: "):
            list(answers)
        assert engine._connected().models()[0].id == "toy"
        assert len(list((tmp_path / "logs").glob("*.log"))) == 2


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("", "it said nothing"),
        ("INFO 01-01 00:00:00 [api.py:1] hello\n\n", "hello"),
        (
            "torch.OutOfMemoryError: CUDA out of memory.\nsee stack trace\nbye",
            "torch.OutOfMemoryError: CUDA out",
        ),
        ("usage: vllm\nvllm serve: error: unrecognized arguments: --no", "vllm serve: error: unrecognized"),
    ],
)
def test_the_last_useful_line_of_a_log(tmp_path: Path, log: str, line: str) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert last_useful_line(path).startswith(line)


# --- What the settings choose --------------------------------------------------------------------------


def test_the_settings_name_a_program_or_a_server(base: BaseModel, server: FakeVllm, tmp_path: Path) -> None:
    environment = {"TUNEWISE_HOME": str(tmp_path), "TUNEWISE_DEVICE": "cpu"}
    with pytest.raises(SpecError, match="there is no program '/nowhere/vllm'"):
        open_vllm_engine(base, settings=read_settings(environment | {"TUNEWISE_VLLM": "/nowhere/vllm"}))
    running = environment | {"TUNEWISE_VLLM": server.url}
    with closing(open_vllm_engine(base, settings=read_settings(running))) as engine:
        assert engine.precision == "float32"
    half = read_settings(running | {"TUNEWISE_VLLM_DTYPE": "bfloat16"})
    with closing(open_vllm_engine(base, settings=half)) as engine:
        assert engine.precision == "bfloat16"
    with pytest.raises(SpecError, match="use float32 or bfloat16"):
        open_vllm_engine(base, settings=read_settings(running | {"TUNEWISE_VLLM_DTYPE": "half"}))
