"""Answers held to schemas and calls, through the API: the official client, a real engine, a random model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from echo_engine import EchoEngine
from toy import make_loaded
from tunewise.engines.local import LocalEngine
from tunewise.records import JSON_OBJECT, Grammar, Message, Tool, ToolCall
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server
from tunewise.store.registry import Registry

QUESTION: Any = [{"role": "user", "content": "Warm?"}]


class Weather(BaseModel):
    city: Literal["Oslo", "Zürich"]
    degrees: int = Field(ge=-60, le=60)


class get_weather(BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Zürich"]
    days: int = Field(ge=1, le=9)


TOOL: Any = openai.pydantic_function_tool(get_weather)
DICE: Any = {"type": "function", "function": {"name": "dice"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    engine = LocalEngine(make_loaded(context=2048), own_thread=True)
    app = create_app(engine, Registry(tmp_path_factory.mktemp("registry") / "tunewise.db"))
    with background_server(app) as url, openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client
    engine.close()


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(model="toy", messages=QUESTION, **{"seed": 3, **fields})


# --- JSON --------------------------------------------------------------------------------------------------


def test_the_official_client_parses_an_answer_into_a_pydantic_model(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="toy", messages=QUESTION, response_format=Weather, seed=1, n=3, logprobs=True
    )
    for choice in answer.choices:
        assert isinstance(choice.message.parsed, Weather)
        assert choice.finish_reason == "stop"
        assert choice.logprobs is not None
        spelled = b"".join(bytes(token.bytes or ()) for token in choice.logprobs.content or ())
        assert spelled.decode() == choice.message.content


def test_the_official_client_parses_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="toy", messages=QUESTION, response_format=Weather, seed=1
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion().choices[0].message
    assert isinstance(final.parsed, Weather)
    assert "".join(pieces) == final.content
    whole = client.chat.completions.parse(model="toy", messages=QUESTION, response_format=Weather, seed=1)
    assert whole.choices[0].message.content == final.content


def test_any_object_will_do_for_json_object(client: openai.OpenAI) -> None:
    answer = ask(client, response_format={"type": "json_object"}, max_tokens=40).choices[0]
    assert answer.message.content.startswith("{")
    if answer.finish_reason == "stop":
        assert isinstance(json.loads(answer.message.content), dict)


def test_an_answer_cut_by_max_tokens_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="toy", messages=QUESTION, response_format=Weather, max_tokens=4)


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_enforced_is_the_clients_error(client: openai.OpenAI, stream: bool) -> None:
    asked = {"name": "answer", "schema": {"type": "string", "pattern": "(?=a)b"}, "strict": True}
    with pytest.raises(openai.BadRequestError, match="look-ahead") as caught:
        ask(client, response_format={"type": "json_schema", "json_schema": asked}, stream=stream)
    assert (caught.value.param, caught.value.type) == ("response_format", "invalid_request_error")


# --- Calls -------------------------------------------------------------------------------------------------


def test_a_required_call_is_parsed_by_the_official_client(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="toy", messages=QUESTION, tools=[TOOL], tool_choice="required", parallel_tool_calls=False, n=2
    )
    for choice in answer.choices:
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        [call] = choice.message.tool_calls or ()
        assert call.id.startswith("call_")
        assert isinstance(call.function.parsed_arguments, get_weather)


def test_a_stream_of_calls_accumulates_to_the_same_calls(client: openai.OpenAI) -> None:
    asked: Any = {"tools": [TOOL, DICE], "tool_choice": "required", "temperature": 0}
    [whole] = ask(client, **asked).choices
    with client.chat.completions.stream(model="toy", messages=QUESTION, **asked) as stream:
        final = stream.get_final_completion().choices[0]
    assert (final.finish_reason, final.message.content) == ("tool_calls", None)
    calls = [(call.function.name, call.function.arguments) for call in final.message.tool_calls or ()]
    assert calls == [(call.function.name, call.function.arguments) for call in whole.message.tool_calls]
    assert len(calls) > 0


def test_a_named_function_is_called_once(client: openai.OpenAI) -> None:
    for name in ("dice", "get_weather"):
        choice = {"type": "function", "function": {"name": name}}
        [answer] = ask(client, tools=[TOOL, DICE], tool_choice=choice).choices
        assert [call.function.name for call in answer.message.tool_calls] == [name]


def test_an_answer_with_calls_is_sent_back_with_their_results(client: openai.OpenAI) -> None:
    asked: Any = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False}
    parsed = client.chat.completions.parse(model="toy", messages=QUESTION, **asked).choices[0].message
    with client.chat.completions.stream(model="toy", messages=QUESTION, **asked) as stream:
        streamed = stream.get_final_completion().choices[0].message
    for message in (parsed, streamed):
        result = {"role": "tool", "tool_call_id": (message.tool_calls or [])[0].id, "content": "21"}
        messages: Any = [*QUESTION, message, result]
        answer = client.chat.completions.create(
            model="toy", messages=messages, tools=[TOOL], tool_choice="none", max_tokens=3
        )
        assert answer.choices[0].finish_reason in ("stop", "length")
        assert answer.choices[0].message.tool_calls is None


def test_without_a_call_the_answer_is_a_text(client: openai.OpenAI) -> None:
    [answer] = ask(client, tools=[TOOL], max_tokens=5, logit_bias={1: 100}).choices
    assert (answer.finish_reason, answer.message.content, answer.message.tool_calls) == ("stop", "", None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_that_cannot_be_called_is_the_clients_error(client: openai.OpenAI, stream: bool) -> None:
    broken = {"type": "function", "function": {"name": "broken", "parameters": {"not": {}}}}
    with pytest.raises(openai.BadRequestError, match="'broken'") as caught:
        ask(client, tools=[TOOL, broken], stream=stream)
    assert caught.value.param == "tools"
    with pytest.raises(openai.BadRequestError, match="'fly'") as caught:
        ask(
            client, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "fly"}}, stream=stream
        )
    assert caught.value.param == "tool_choice"


# --- What the engine is asked, and what it is not -----------------------------------------------------------


@pytest.fixture
def engine() -> EchoEngine:
    return EchoEngine()


@pytest.fixture
def http(engine: EchoEngine, tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(create_app(engine, Registry(tmp_path / "tunewise.db"))) as client:
        yield client


def post(http: TestClient, **fields: Any) -> Any:
    return http.post("/v1/chat/completions", json={"model": "echo", "messages": QUESTION, **fields})


def test_the_engine_gets_schemas_tools_and_choices(http: TestClient, engine: EchoEngine) -> None:
    parameters = {"type": "object", "properties": {"z": {}, "a": {"const": "é"}}}
    tool = {"type": "function", "function": {"name": "f", "description": "é", "parameters": parameters}}
    named = {"type": "function", "function": {"name": "f"}}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": parameters, "strict": None}}
    for fields in (
        {"response_format": {"type": "json_object"}},
        {"response_format": schema},
        {"tools": [tool, DICE]},
        {"tools": [tool, DICE], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [tool, DICE], "tool_choice": named},
        {"tools": [tool, DICE], "tool_choice": "none"},
    ):
        assert post(http, **fields).status_code == 200
    any_object, of_schema, auto, required, one, none = engine.requests
    text = json.dumps(parameters, ensure_ascii=False)
    assert any_object.grammar == JSON_OBJECT
    assert of_schema.grammar == Grammar("json_schema", text)
    assert auto.tools == required.tools == one.tools == (Tool("f", text, "é"), Tool("dice"))
    assert [r.must_call for r in (auto, required, one)] == [(), ("f", "dice"), ("f",)]
    assert [r.parallel_tool_calls for r in (auto, required, one)] == [True, False, False]
    assert (none.tools, none.must_call, none.grammar) == ((), (), None)


def test_the_engine_gets_calls_and_results(http: TestClient, engine: EchoEngine) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assistant = {"role": "assistant", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "21"}
    assert post(http, messages=[*QUESTION, assistant, result]).status_code == 200
    assert engine.requests[-1].messages[1:] == (
        Message("assistant", "", tool_calls=(ToolCall("call_1", "f", '{"a": 1}'),)),
        Message("tool", "21", tool_call_id="call_1"),
    )


def call_of(arguments: str = "{}", **function: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments, **function}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
         "response_format.json_schema.schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": "s"}}},
         "response_format.json_schema.schema"),
        ({"response_format": {"type": "text", "json_schema": {"name": "x", "schema": {}}}},
         "response_format.json_schema"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools[0].function.name"),
        ({"tools": [DICE] * 129}, "tools"),
        ({"tools": [DICE], "tool_choice": "any"}, "tool_choice"),
        ({"tools": [DICE], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_call_id": "c"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [call_of()]}]},
         "messages[0].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "tool_calls": [call_of("x")]}]},
         "messages[0].tool_calls[0].function.arguments"),
        ({"messages": [{"role": "assistant", "tool_calls": [call_of('{"a": "\\ud800"}')]}]},
         "messages[0].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(
    http: TestClient, engine: EchoEngine, fields: dict[str, Any], param: str
) -> None:
    response = post(http, **fields)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert param in error["message"]
    assert engine.requests == []


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
def test_a_schema_is_json_throughout(http: TestClient, value: Any) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": value}}}
    content = json.dumps({"model": "echo", "messages": QUESTION, "response_format": asked})
    headers = {"content-type": "application/json"}
    response = http.post("/v1/chat/completions", content=content, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "response_format.json_schema.schema"
