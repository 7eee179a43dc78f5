"""What one request can ask for beyond an answer: choices, probabilities, and another time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from starlette.testclient import TestClient

from echo_engine import EchoEngine
from toy import make_loaded
from tunewise.engines.base import Engine
from tunewise.engines.local import LocalEngine
from tunewise.engines.remote import RemoteEngine
from tunewise.engines.remote_spec import RemoteSpec
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server
from tunewise.store.registry import Registry

QUESTION: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def engine() -> EchoEngine:
    return EchoEngine()


@pytest.fixture
def http(engine: EchoEngine, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(engine, Registry(tmp_path / "tunewise.db"))) as client:
        yield client


def ask(http: TestClient, question: str = "hello there", **fields: Any) -> Any:
    messages = [{"role": "user", "content": question}]
    return http.post("/v1/chat/completions", json={"model": "echo", "messages": messages, **fields})


def serve(engine: Engine, folder: Path) -> Any:
    return background_server(create_app(engine, Registry(folder / "tunewise.db")))


def test_the_engine_gets_penalties_biases_and_a_seed_for_each_choice(
    http: TestClient, engine: EchoEngine
) -> None:
    asked = {"presence_penalty": 0.5, "frequency_penalty": -2, "logit_bias": {"5": -100, "7": 0.5}}
    assert ask(http, n=3, seed=7, logprobs=True, top_logprobs=2, **asked).status_code == 200
    assert [request.seed for request in engine.requests] == [7, 8, 9]
    first = engine.requests[0]
    assert (first.presence_penalty, first.frequency_penalty) == (0.5, -2)
    assert (first.logit_bias, first.top_logprobs) == ({5: -100.0, 7: 0.5}, 2)
    ask(http, n=2, logprobs=True)
    assert [(request.seed, request.top_logprobs) for request in engine.requests[3:]] == [(None, 0)] * 2


def test_choices_are_told_apart_and_their_prompt_is_counted_once(http: TestClient) -> None:
    answer = ask(http, n=2).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["echo: hello there"] * 2
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 6, "total_tokens": 8}


def test_logprobs_have_openais_fields(http: TestClient) -> None:
    [choice] = ask(http, question="é", logprobs=True, top_logprobs=1).json()["choices"]
    echo = {"token": "echo:", "logprob": -1.0, "bytes": [101, 99, 104, 111, 58]}
    half = {"token": " ", "logprob": -1.0, "bytes": [32]}
    assert choice["logprobs"] == {
        "content": [
            {**echo, "top_logprobs": [{"token": "e", "logprob": -1.0, "bytes": [101]}]},
            {"token": " é", "logprob": -1.0, "bytes": [32, 195, 169], "top_logprobs": [half]},
        ],
        "refusal": None,
    }


def test_a_stream_interleaves_choices_and_gives_each_piece_its_logprobs(http: TestClient) -> None:
    response = ask(
        http, stream=True, n=2, max_tokens=2, logprobs=True, stream_options={"include_usage": True}
    )
    *events, done, end = response.text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    *chunks, cost = [json.loads(event.removeprefix("data: ")) for event in events]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["index"] for choice in choices] == [0, 1] * 4
    assert [choice["finish_reason"] for choice in choices] == [None] * 6 + ["length"] * 2
    assert [choice["delta"].get("content") for choice in choices[::2]] == ["", "echo:", " hello", None]
    told = [c["logprobs"] and [token["token"] for token in c["logprobs"]["content"]] for c in choices[1::2]]
    assert told == [None, ["echo:"], [" hello"], None]
    assert set(choices[2]["logprobs"]) == {"content", "refusal"}
    assert cost["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}


@pytest.mark.parametrize("stream", [False, True])
def test_too_many_requests_are_asked_to_come_back(http: TestClient, stream: bool) -> None:
    response = ask(http, question="too many", stream=stream)
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_before_the_first_token_frees_its_place(
    engine: EchoEngine, tmp_path: Path, stream: bool
) -> None:
    messages = [{"role": "user", "content": "silence"}]
    body = {"model": "echo", "messages": messages, "stream": stream}
    with serve(engine, tmp_path) as url, httpx.Client(timeout=httpx.Timeout(20, read=1)) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"{url}/chat/completions", json=body)
        assert engine.waiting.is_set()
        assert engine.closed.wait(20)


def test_the_official_client_with_a_real_engine(tmp_path: Path) -> None:
    engine = LocalEngine(make_loaded(), own_thread=True, max_waiting=0)
    asked: Any = {"model": "toy", "messages": QUESTION, "max_tokens": 8, "seed": 3, "logprobs": True}
    with (
        serve(engine, tmp_path) as url,
        openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client,
    ):
        create = client.chat.completions.create
        answer = create(**asked, n=3, top_logprobs=5)
        texts = [choice.message.content for choice in answer.choices]
        streamed = {0: "", 1: "", 2: ""}
        spelled = {0: b"", 1: b"", 2: b""}
        for chunk in create(**asked, n=3, stream=True):
            [choice] = chunk.choices
            streamed[choice.index] += choice.delta.content or ""
            for token in (choice.logprobs and choice.logprobs.content) or ():
                spelled[choice.index] += bytes(token.bytes or ())
        del engine._scheduler._slots[:]
        with pytest.raises(openai.RateLimitError) as caught:
            create(**asked)
    engine.close()
    assert list(streamed.values()) == texts
    assert len(set(texts)) > 1
    assert [spelled[i].decode(errors="replace") for i in range(3)] == texts
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert [len(token.top_logprobs) for token in logprobs.content or ()] == [5] * 8
    assert caught.value.response.headers["retry-after"] == "1"


def test_a_server_behind_this_one_that_is_out_of_reach_is_a_bad_gateway(tmp_path: Path) -> None:
    with closing(RemoteEngine(RemoteSpec(base_url="http://127.0.0.1:1/v1", model="echo"))) as engine:
        response = ask(TestClient(create_app(engine, Registry(tmp_path / "tunewise.db"))))
    assert response.status_code == 502
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "upstream_error")
    assert "the connection to http://127.0.0.1:1/v1 failed: Connection refused" in error["message"]
