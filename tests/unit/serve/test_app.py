from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from starlette.testclient import TestClient

from echo_engine import EchoEngine
from tunewise.errors import SpecError
from tunewise.records import Message, ModelRecord
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server, listen
from tunewise.store.registry import Registry

TUNED = "ft:echo:local:prices:4fj2x9"
SLASHED = "ft:echo:a/b:prices:7kq0aa"


def record(folder: Path, model_id: str, base: str = "embedded") -> ModelRecord:
    path = folder / "adapters" / str(abs(hash(model_id)))
    path.mkdir(parents=True, exist_ok=True)
    return ModelRecord(
        model_id, base, str(path), "candidate", "just trained", str(folder / "run"), 1_700_000_000
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path / "tunewise.db")
    registry.add_model(record(tmp_path, TUNED))
    registry.add_model(record(tmp_path, SLASHED))
    registry.add_model(record(tmp_path, "ft:other:local:prices:000000", base="org/other"))
    return registry


@pytest.fixture
def engine() -> EchoEngine:
    return EchoEngine()


@pytest.fixture
def http(engine: EchoEngine, registry: Registry) -> Iterator[TestClient]:
    with TestClient(create_app(engine, registry, base="embedded")) as client:
        yield client


@pytest.fixture
def client(engine: EchoEngine, registry: Registry) -> Iterator[openai.OpenAI]:
    with (
        background_server(create_app(engine, registry, base="embedded")) as base_url,
        openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as client,
    ):
        yield client


def body(question: str = "hello there", **fields: Any) -> dict[str, Any]:
    return {"model": "echo", "messages": [{"role": "user", "content": question}], **fields}


def ask(http: TestClient, **fields: Any) -> Any:
    return http.post("/v1/chat/completions", json=body(**fields))


def events(http: TestClient, **fields: Any) -> list[Any]:
    """What a stream sends, `[DONE]` included as a string."""
    response = ask(http, stream=True, **fields)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    datas = [line.removeprefix("data: ") for line in lines]
    return [data if data == "[DONE]" else json.loads(data) for data in datas]


def error_of(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["x-request-id"].startswith("req_")
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


# --- Answers -----------------------------------------------------------------------------------------


def test_an_answer_has_every_field_of_openais(http: TestClient) -> None:
    response = ask(http, seed=7)
    assert response.status_code == 200
    assert response.headers["x-request-id"].startswith("req_")
    answer = response.json()
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer.pop("system_fingerprint").startswith("fp_")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "chat.completion",
        "model": "echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "echo: hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }


def test_the_engine_gets_what_was_asked(http: TestClient, engine: EchoEngine) -> None:
    ask(http)
    ask(http, max_completion_tokens=9, temperature=0, top_p=0.5, stop="a", seed=-3)
    ask(http, max_tokens=2, top_p=0, stop=["a", "b"])
    default, full, nucleus_of_none = engine.requests
    assert (default.max_tokens, default.temperature, default.top_p) == (None, 1.0, 1.0)
    assert (default.stop, default.seed) == ((), None)
    assert (full.max_tokens, full.temperature, full.top_p, full.stop, full.seed) == (9, 0.0, 0.5, ("a",), -3)
    assert (nucleus_of_none.max_tokens, nucleus_of_none.temperature) == (2, 0.0)
    assert (nucleus_of_none.top_p, nucleus_of_none.stop) == (1.0, ("a", "b"))


def test_text_parts_developer_turns_and_our_own_answers_are_understood(
    http: TestClient, engine: EchoEngine
) -> None:
    answer = ask(http).json()["choices"][0]["message"]
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    ask(
        http,
        messages=[{"role": "developer", "content": "Be brief."}, answer, {"role": "user", "content": parts}],
    )
    assert engine.requests[-1].messages == (
        Message("system", "Be brief."),
        Message("assistant", "echo: hello there"),
        Message("user", "one\ntwo"),
    )


def test_a_stream_is_role_text_reason_usage_done(http: TestClient) -> None:
    *chunks, done = events(http, max_tokens=2, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"][0]["delta"] for chunk in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "echo:"},
        {"content": " hello"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, None, None, "length"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def test_a_stream_says_what_it_cost_only_when_asked(http: TestClient) -> None:
    assert all("usage" not in chunk for chunk in events(http)[:-1])


def test_requests_run_at_the_same_time(http: TestClient) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(ask, http, question="meet") for _ in range(2)]
    assert [answer.result().status_code for answer in answers] == [200, 200]


# --- The official client -----------------------------------------------------------------------------


def test_the_official_client_asks_and_streams(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "a b"}]
    answer = client.chat.completions.create(model=TUNED, messages=messages, user="me", metadata={"k": "v"})
    assert answer.choices[0].message.content == f"{TUNED}: a b"
    assert answer.model == TUNED
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5
    assert answer._request_id is not None
    messages = [*messages, answer.choices[0].message, {"role": "user", "content": "c"}]
    stream = client.chat.completions.create(
        model="echo", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "echo: c"
    assert chunks[-1].usage is not None
    assert len({chunk.system_fingerprint for chunk in chunks} | {answer.system_fingerprint}) == 2


def test_the_official_client_finds_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["echo", SLASHED, TUNED]
    for name in ("echo", TUNED, SLASHED):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("ft:echo:local:nothing:000000")
    assert caught.value.code == "model_not_found"


def test_the_official_client_hears_of_an_error_on_the_way(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "please break now"}]
    stream = client.chat.completions.create(model="echo", messages=messages, stream=True)
    heard: list[str | None] = []
    with pytest.raises(openai.APIError, match="The server had an error") as caught:
        heard.extend(chunk.choices[0].delta.content for chunk in stream)
    assert heard == ["", "echo:", " please"]
    assert "secret" not in str(caught.value)


def test_a_client_that_hangs_up_frees_its_place(client: openai.OpenAI, engine: EchoEngine) -> None:
    messages: Any = [{"role": "user", "content": "for ever"}]
    stream = client.chat.completions.create(model="echo", messages=messages, stream=True)
    next(iter(stream))
    assert not engine.closed.is_set()
    stream.close()
    assert engine.closed.wait(20)


# --- Loading -----------------------------------------------------------------------------------------


def test_a_registered_model_is_loaded_once_and_others_do_not_wait(
    http: TestClient, engine: EchoEngine
) -> None:
    engine.loading_may_end.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, http, model=TUNED) for _ in range(4)]
        assert ask(http).status_code == 200
        assert not any(answer.done() for answer in waiting)
        engine.loading_may_end.set()
    assert [answer.result().json()["model"] for answer in waiting] == [TUNED] * 4
    assert [model for model, _ in engine.loaded] == [TUNED]


def test_a_model_whose_files_are_gone_is_said_to_be(http: TestClient, registry: Registry) -> None:
    Path(registry.model(TUNED).path).rmdir()
    response = ask(http, model=TUNED)
    error = error_of(response, 503)
    assert TUNED in error["message"]
    assert error["code"] == "model_unavailable"
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("name", ["gpt-4", "ft:echo:local:prices:nothing", "ft:other:local:prices:000000"])
@pytest.mark.parametrize("stream", [False, True])
def test_no_other_model_answers_for_an_unknown_one(http: TestClient, name: str, stream: bool) -> None:
    error = error_of(ask(http, model=name, stream=stream), 404)
    assert name in error["message"]
    assert (error["type"], error["param"], error["code"]) == (
        "invalid_request_error",
        "model",
        "model_not_found",
    )


def test_a_whole_model_is_not_offered_by_the_server_of_its_base(
    http: TestClient, registry: Registry, tmp_path: Path
) -> None:
    whole = record(tmp_path, "ft:echo:local:whole:111111")
    (Path(whole.path) / "config.json").write_text("{}")
    registry.add_model(whole)
    assert whole.id not in [model["id"] for model in http.get("/v1/models").json()["data"]]
    error = error_of(ask(http, model=whole.id), 404)
    assert f"--base {whole.id}" in error["message"]


def test_without_a_base_every_registered_model_is_offered(engine: EchoEngine, registry: Registry) -> None:
    with TestClient(create_app(engine, registry)) as http:
        assert len(http.get("/v1/models").json()["data"]) == 4


# --- Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"the": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"logit_bias": {"5": None}}, "logit_bias"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"best_of": 3}, "best_of"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "0"}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [""]}, "stop[0]"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "x", "name": "ann"}]}, "messages[0].name"),
        ({"messages": "hello"}, "messages"),
        ({"model": None}, "model"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    http: TestClient, engine: EchoEngine, fields: dict[str, Any], param: str
) -> None:
    error = error_of(http.post("/v1/chat/completions", json=body() | fields), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert param in error["message"]
    assert engine.requests == []


def test_what_asks_for_nothing_is_accepted(http: TestClient) -> None:
    nothing = {
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "logprobs": False,
        "logit_bias": {},
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "stop": None,
        "temperature": None,
        "store": True,
        "service_tier": "auto",
    }
    assert ask(http, **nothing).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"hello"', b'{"\\ud800": 1}', b"\xff"])
def test_a_body_that_is_no_request_is_the_clients_error(http: TestClient, content: bytes) -> None:
    response = http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert error_of(response, 400)["type"] == "invalid_request_error"


def test_half_a_surrogate_pair_is_refused_before_the_engine(http: TestClient) -> None:
    content = b'{"model": "echo", "messages": [{"role": "user", "content": "\\ud800"}]}'
    response = http.post(
        "/v1/chat/completions", content=content, headers={"content-type": "application/json"}
    )
    assert error_of(response, 400)["param"] == "messages[0].content"


# --- Errors ------------------------------------------------------------------------------------------


def test_unknown_urls_and_methods(http: TestClient) -> None:
    assert error_of(http.get("/v1/nothing"), 404)["code"] == "unknown_url"
    assert error_of(http.get("/v1/models/nothing/at/all"), 404)["code"] == "model_not_found"
    response = http.get("/v1/chat/completions")
    assert error_of(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("stream", [False, True])
def test_the_engines_refusal_keeps_its_param(http: TestClient, stream: bool) -> None:
    error = error_of(ask(http, question="too long", stream=stream), 400)
    assert (error["message"], error["param"]) == ("the prompt does not fit", "messages")


@pytest.mark.parametrize("stream", [False, True])
def test_a_bug_is_logged_and_not_shown(
    http: TestClient, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    response = ask(http, question="bug", stream=stream)
    error = error_of(response, 500)
    assert error["type"] == "server_error"
    assert "secret" not in response.text
    [logged] = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert response.headers["x-request-id"] in logged.getMessage()
    assert logged.exc_info is not None


def test_a_completion_that_failed_is_no_answer(http: TestClient) -> None:
    error = error_of(ask(http, question="fail"), 500)
    assert "out of memory" in error["message"]
    *_, last = events(http, question="fail")
    assert last["error"]["type"] == "server_error"


def test_a_key_is_asked_for_under_v1_only(engine: EchoEngine, registry: Registry) -> None:
    with TestClient(create_app(engine, registry, api_key="sesame")) as http:
        assert http.get("/health").json() == {"status": "ok"}
        assert error_of(http.get("/v1/models"), 401)["code"] == "invalid_api_key"
        for wrong in ("Bearer wrong", "sesame", "Bearer "):
            error = error_of(http.get("/v1/models", headers={"authorization": wrong}), 401)
            assert error["code"] == "invalid_api_key"
        assert error_of(ask(http), 401)["code"] == "invalid_api_key"
        assert http.get("/v1/models", headers={"authorization": "Bearer sesame"}).status_code == 200


def test_a_port_in_use_is_said_in_one_line() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(SpecError, match="in use"):
        listen("127.0.0.1", taken.getsockname()[1])
