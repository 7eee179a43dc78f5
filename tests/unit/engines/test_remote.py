"""Against real servers: tunewise's own, and one that misbehaves as the model's name asks it to."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from echo_engine import EchoEngine
from tunewise.engines import RemoteSpec, open_remote_engine
from tunewise.engines.base import Delta
from tunewise.engines.remote import RemoteEngine
from tunewise.errors import (
    EndpointError,
    ModelNotFoundError,
    OverloadedError,
    RequestError,
    SpecError,
    TunewiseError,
)
from tunewise.records import JSON_OBJECT, ChatRequest, Grammar, Message, TokenLogprob, Tool
from tunewise.serve.app import create_app
from tunewise.serve.server import background_server, listen, url_of
from tunewise.settings import read_settings
from tunewise.store.registry import Registry

KEY = "sk-house-secret-0123456789"
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}

NOWHERE = RemoteSpec(base_url="http://localhost:1/v1", model="echo")


def ask(question: str = "hello there", model: str = "echo", **fields: Any) -> ChatRequest:
    return ChatRequest(model, (Message("user", question),), **{"max_tokens": 16, **fields})


# --- A tunewise on the other side ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EchoEngine, str]]:
    """One server for all; starting and stopping it takes longer than a test."""
    echo = EchoEngine()
    app = create_app(echo, Registry(tmp_path_factory.mktemp("registry") / "tunewise.db"), api_key=KEY)
    with background_server(app) as base_url:
        yield echo, base_url


@pytest.fixture
def echo(served: tuple[EchoEngine, str]) -> EchoEngine:
    served[0].requests.clear()
    served[0].closed.clear()
    return served[0]


@pytest.fixture
def engine(served: tuple[EchoEngine, str]) -> Iterator[RemoteEngine]:
    spec = RemoteSpec(base_url=served[1], model="echo", timeout_s=20, max_retries=0)
    with closing(RemoteEngine(spec, api_key=KEY)) as engine:
        yield engine


def test_answers_come_in_order_and_each_is_told_of(engine: RemoteEngine) -> None:
    done: list[int] = []
    questions = [f"question {number}" for number in range(12)]
    completions = engine.generate([ask(question) for question in questions], done.append)
    assert [completion.text for completion in completions] == [f"echo: {question}" for question in questions]
    assert sorted(done) == list(range(12))
    first = completions[0]
    assert (first.finish_reason, first.input_tokens, first.output_tokens) == ("stop", 2, 3)
    assert first.error is None
    assert first.latency_ms > 0
    assert engine.generate([]) == []


def test_sends_the_whole_request(engine: RemoteEngine, echo: EchoEngine) -> None:
    messages = (Message("system", "be brief"), Message("user", "a"), Message("assistant", "b", weight=0))
    plain = ChatRequest("echo", (*messages, Message("user", "c d")), 2)
    full = ChatRequest("echo", plain.messages, 9, temperature=0.5, top_p=0.9, stop=("x", "y"), seed=7)
    cut, whole = engine.generate([plain])[0], engine.generate([full])[0]
    assert (cut.text, cut.finish_reason, cut.output_tokens) == ("echo: c", "length", 2)
    assert whole.finish_reason == "stop"
    sent, sent_full = echo.requests
    assert [(m.role, m.content) for m in sent.messages] == [(m.role, m.content) for m in plain.messages]
    assert (sent.max_tokens, sent.temperature, sent.top_p, sent.stop, sent.seed) == (2, 0, 1, (), None)
    assert (sent_full.max_tokens, sent_full.temperature, sent_full.top_p) == (9, 0.5, 0.9)
    assert (sent_full.stop, sent_full.seed) == (("x", "y"), 7)


def test_schemas_are_passed_on_and_what_has_no_name_there_is_refused(
    engine: RemoteEngine, echo: EchoEngine
) -> None:
    schema = Grammar("json_schema", '{"type": "array"}')
    engine.generate([ask(grammar=JSON_OBJECT)])
    engine.generate([ask(grammar=schema)])
    assert [request.grammar for request in echo.requests] == [JSON_OBJECT, schema]
    result = (Message("user", "a"), Message("tool", "b", tool_call_id="c"), Message("user", "d"))
    for request, param in (
        (ask(grammar=Grammar("lark", 'start: "a"')), "response_format"),
        (ask(tools=(Tool("dice"),)), "tools"),
        (ChatRequest("echo", result, 5), "messages"),
    ):
        with pytest.raises(RequestError) as caught:
            engine.check(request)
        assert caught.value.param == param


def test_sends_how_to_choose_tokens_and_reads_how_likely_they_were(
    engine: RemoteEngine, echo: EchoEngine
) -> None:
    asked = ask("é", presence_penalty=0.5, frequency_penalty=-1, logit_bias={5: -100, 7: 0.5}, top_logprobs=1)
    [whole] = engine.generate([asked])
    *pieces, last = engine.stream(asked)
    sent = echo.requests[0]
    assert (sent.presence_penalty, sent.frequency_penalty) == (0.5, -1)
    assert (sent.logit_bias, sent.top_logprobs) == ({5: -100, 7: 0.5}, 1)
    echo_token = TokenLogprob(b"echo:", -1.0, (TokenLogprob(b"e", -1.0),))
    told = (echo_token, TokenLogprob(" é".encode(), -1.0, (TokenLogprob(b" ", -1.0),)))
    assert whole.logprobs == told
    assert [piece.logprobs for piece in pieces] == [told[:1], told[1:]]
    assert last.completion is not None
    assert last.completion.logprobs == told


def test_requests_are_under_way_together(engine: RemoteEngine) -> None:
    # Each of these waits on the other side until the other one is there.
    assert [c.text for c in engine.generate([ask("meet"), ask("meet")])] == ["echo: meet", "echo: meet"]


def test_a_failed_request_does_not_stop_the_others(engine: RemoteEngine) -> None:
    requests = [ask("a"), ask("b", "nobody"), ask("too long"), ask("d", max_tokens=0), ask("e")]
    done: list[int] = []
    first, unknown, long, none, last = engine.generate(requests, done.append)
    assert (first.text, last.text) == ("echo: a", "echo: e")
    assert (unknown.text, unknown.finish_reason, unknown.output_tokens) == ("", "error", 0)
    assert "answered 404" in (unknown.error or "")
    assert "does not fit" in (long.error or "")
    assert "max_tokens is 0" in (none.error or "")
    assert sorted(done) == list(range(5))


def test_an_error_of_the_caller_ends_the_batch(engine: RemoteEngine) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.generate([ask() for _ in range(50)], interrupt)
    assert engine.generate([ask("a")])[0].text == "echo: a"


def test_streams_piece_by_piece(engine: RemoteEngine) -> None:
    *pieces, last = engine.stream(ask())
    assert pieces == [Delta("echo:"), Delta(" hello"), Delta(" there")]
    assert last.completion is not None
    assert (last.completion.text, last.completion.finish_reason) == ("echo: hello there", "stop")
    assert (last.completion.input_tokens, last.completion.output_tokens) == (2, 3)


def test_closing_a_stream_cancels_it_on_the_other_side(engine: RemoteEngine, echo: EchoEngine) -> None:
    deltas = engine.stream(ask("for ever"))
    assert next(deltas) == Delta("drip ")
    deltas.close()
    assert echo.closed.wait(20)
    assert list(deltas) == []


def test_closing_a_stream_ends_who_waits_for_it(engine: RemoteEngine, echo: EchoEngine) -> None:
    answers = engine.stream(ask("silence"))
    threading.Timer(0.05, answers.close).start()
    assert list(answers) == []
    assert echo.closed.wait(20)


def test_streams_several_requests_together(engine: RemoteEngine) -> None:
    # Each of these waits on the other side until the other one is there.
    deltas = list(engine.stream(ask("meet", max_tokens=1), ask("meet")))
    texts = ["".join(delta.text for delta in deltas if delta.index == index) for index in (0, 1)]
    completions = {delta.index: delta.completion for delta in deltas if delta.completion}
    assert texts == ["echo:", "echo: meet"]
    assert [completions[index].text for index in (0, 1)] == texts
    assert [completions[index].finish_reason for index in (0, 1)] == ["length", "stop"]


def test_a_whole_answer_is_one_delta(engine: RemoteEngine) -> None:
    deltas = list(engine.stream(ask("a b"), ask("c d"), whole=True))
    assert sorted((delta.index, delta.text) for delta in deltas) == [(0, ""), (1, "")]
    assert {d.completion.text for d in deltas if d.completion} == {"echo: a b", "echo: c d"}
    with pytest.raises(ModelNotFoundError):
        list(engine.stream(ask(), ask(model="nobody"), whole=True))


def test_what_fails_ends_the_answers_that_were_asked_with_it(engine: RemoteEngine, echo: EchoEngine) -> None:
    answers = engine.stream(ask("for ever"), ask("now break"))
    with pytest.raises(EndpointError, match="broke its answer off"):
        list(answers)
    assert echo.closed.wait(20)


def test_closing_the_engine_ends_its_streams(engine: RemoteEngine) -> None:
    answers = engine.stream(ask("for ever"))
    next(answers)
    engine.close()
    with pytest.raises(RequestError, match="closed"):
        list(answers)


def test_more_streams_than_are_kept_are_refused(
    engine: RemoteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunewise.engines.endpoint.MAX_STREAMS", 1)
    with closing(engine.stream(ask("for ever"))), pytest.raises(OverloadedError, match="1 streams"):
        engine.stream(ask())


def test_a_stream_says_what_is_wrong(engine: RemoteEngine) -> None:
    with pytest.raises(ModelNotFoundError, match="answered 404"):
        next(engine.stream(ask(model="nobody")))
    with pytest.raises(RequestError, match="does not fit") as caught:
        next(engine.stream(ask("too long")))
    assert caught.value.param == "messages"
    with pytest.raises(RequestError, match="top_p"):
        engine.stream(ask(top_p=2))


def test_an_error_in_the_middle_of_a_stream(engine: RemoteEngine) -> None:
    deltas = engine.stream(ask("now fail break"))
    assert next(deltas) == Delta("echo:")
    with pytest.raises(EndpointError, match="broke its answer off: The server had an error"):
        list(deltas)


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (ChatRequest("echo", (), 5), "no message"),
        (ask(max_tokens=0), "max_tokens"),
        (ask(temperature=float("nan")), "temperature"),
        (ask(top_p=-1), "top_p"),
        (ask("half a pair \ud800"), "surrogate"),
        (ask(stop=("\udfff",)), "surrogate"),
    ],
)
def test_checks_without_asking(request_: ChatRequest, problem: str) -> None:
    with closing(RemoteEngine(NOWHERE)) as engine:
        engine.check(ask())
        with pytest.raises(RequestError, match=problem):
            engine.check(request_)


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.score("echo", ask().messages),
        lambda engine: engine.count_tokens("echo", ask().messages),
        lambda engine: engine.count_answer_tokens("echo", "b"),
        lambda engine: engine.load("ft:a", Path("adapter")),
        lambda engine: engine.unload("ft:a"),
    ],
)
def test_refuses_what_an_endpoint_cannot_do(call: Callable[[RemoteEngine], object]) -> None:
    with (
        closing(RemoteEngine(NOWHERE)) as engine,
        pytest.raises(RequestError, match="use an engine of this machine"),
    ):
        call(engine)


def test_lists_the_models_of_another_tunewise(engine: RemoteEngine) -> None:
    assert engine.base_id == "echo"
    assert engine.models() == ["echo"]


def test_a_closed_engine_sends_nothing(engine: RemoteEngine, echo: EchoEngine) -> None:
    engine.close()
    for call in (lambda: engine.generate([ask()]), lambda: engine.stream(ask()), engine.models):
        with pytest.raises(RequestError, match="closed"):
            call()
    assert echo.requests == []


# --- A server that misbehaves --------------------------------------------------------------------------


class Misbehaving(ThreadingHTTPServer):
    """Does what the model's name says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.listed: bytes = json.dumps({"object": "list", "data": [{"id": "b"}, {"id": "a"}]}).encode()
        self.may_end = threading.Event()
        self.lock = threading.Lock()
        self.under_way = self.most_under_way = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Misbehaving

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.reply(200, self.server.listed)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append(body)
            self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            getattr(self, body["model"].replace(" ", "_"))()
        finally:
            with self.server.lock:
                self.server.under_way -= 1

    def reply(self, status: int, body: Any, type: str = "application/json", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": type, "content-length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def fault(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self.reply(status, {"error": error}, **headers)

    def events(self, *events: str, length: int | None = None) -> None:
        """A stream that ends with the connection, or one that promises more bytes than it sends."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        if length is not None:
            self.send_header("content-length", str(length))
        self.end_headers()
        for event in events:
            self.wfile.write(f"data: {event}\n\n".encode())
        self.close_connection = True

    # What the model's name asks for.

    def fine(self) -> None:
        self.reply(200, ANSWER)

    def together(self) -> None:
        self.server.may_end.wait(0.05)
        self.reply(200, ANSWER)

    def wrong_key(self) -> None:
        self.fault(401, f"Incorrect API key provided:\n{self.headers['authorization']}.", "invalid_api_key")

    def unknown(self) -> None:
        self.fault(404, "The model `unknown` does not exist.")

    def no_route(self) -> None:
        self.reply(404, {"detail": "Not Found"})

    def busy(self) -> None:
        self.fault(429, "Rate limit reached.", retry_after="0.01")

    def busy_at_first(self) -> None:
        if len(self.server.asked) < 3:
            self.fault(429, "Rate limit reached.", retry_after="0.01")
        else:
            self.reply(200, ANSWER)

    def broken(self) -> None:
        self.reply(502, b"<html>\n<h1>\x1b[31mBad gateway</h1>" + b"x" * 5000, "text/html")

    def hang(self) -> None:
        self.server.may_end.wait(20)
        self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True

    def garbage(self) -> None:
        self.reply(200, b"{not json")

    def web_page(self) -> None:
        self.reply(200, b"<html>hello</html>", "text/html")

    def other_json(self) -> None:
        self.reply(200, {"choices": [{"message": "ok"}]})

    def no_choice(self) -> None:
        self.reply(200, {"choices": []})

    def no_usage(self) -> None:
        self.reply(200, {"choices": ANSWER["choices"]})

    def refusal(self) -> None:
        message = {"role": "assistant", "content": None, "refusal": "No."}
        self.reply(200, {"choices": [{"message": message, "finish_reason": "eos"}], "usage": None})

    def withheld(self) -> None:
        message = {"role": "assistant", "content": ""}
        self.reply(200, {"choices": [{"message": message, "finish_reason": "content_filter"}]})

    def reasons(self) -> None:
        message = {"role": "assistant", "content": None, "reasoning_content": "The user wants me to"}
        self.reply(200, {"choices": [{"message": message, "finish_reason": "length"}]})

    def says_nothing(self) -> None:
        self.reply(200, {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]})

    def stream_garbage(self) -> None:
        self.events(chunk("a"), "{not json", length=9999)

    def stream_other_json(self) -> None:
        self.events(chunk("a"), '{"choices": 5}')

    def stream_cut(self) -> None:
        self.events(chunk("a"), length=9999)

    def stream_ends(self) -> None:
        self.events(chunk("a"))

    def stream_hangs(self) -> None:
        self.events(chunk("a"), length=9999)
        self.wfile.flush()
        self.server.may_end.wait(20)

    def stream_without_usage(self) -> None:
        self.events(chunk("a"), chunk("b", "length"), "[DONE]")


def chunk(text: str, finish_reason: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]})


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with Misbehaving() as server:
        server.daemon_threads = False  # So that closing the server waits for what it still does.
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.may_end.set()
            server.shutdown()
            thread.join()


@contextmanager
def asking(server: Misbehaving, api_key: str | None = KEY, **fields: Any) -> Iterator[RemoteEngine]:
    base_url = f"{url_of(server.socket)}/v1"
    spec = RemoteSpec(base_url=base_url, **{"model": "a", "timeout_s": 5, "max_retries": 0, **fields})
    with closing(RemoteEngine(spec, api_key=api_key)) as engine:
        yield engine


def check_line(line: str, problem: str) -> None:
    assert problem in line
    assert "http://127.0.0.1:" in line
    assert line.isprintable()
    assert len(line) < 500
    assert KEY not in line


FAULTS: list[tuple[str, type[TunewiseError], str]] = [
    ("wrong key", EndpointError, "answered 401: Incorrect API key provided: Bearer [key]."),
    ("unknown", ModelNotFoundError, "answered 404: The model `unknown` does not exist."),
    ("no route", EndpointError, "answered 404: Not Found; check base_url"),
    ("busy", EndpointError, "answered 429: Rate limit reached.; ask again later"),
    ("broken", EndpointError, "answered 502: <html> <h1> [31mBad gateway"),
    ("hang", EndpointError, "sent nothing for 0.3 s"),
    ("hang up", EndpointError, "failed: Server disconnected"),
]


@pytest.mark.parametrize(("model", "kind", "problem"), FAULTS)
def test_each_fault_is_one_line_without_the_key(
    server: Misbehaving,
    caplog: pytest.LogCaptureFixture,
    model: str,
    kind: type[TunewiseError],
    problem: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    with asking(server, timeout_s=0.3 if model == "hang" else 5) as engine:
        [completion] = engine.generate([ask(model=model)])
        check_line(completion.error or "", problem)
        with pytest.raises(kind) as caught:
            list(engine.stream(ask(model=model)))
        check_line(str(caught.value), problem)
        assert caught.value.__suppress_context__
    assert KEY not in caplog.text


@pytest.mark.parametrize("model", ["garbage", "web page", "other json", "no choice"])
def test_an_answer_that_is_none(server: Misbehaving, model: str) -> None:
    with asking(server) as engine:
        good, bad = engine.generate([ask(model="fine"), ask(model=model)])
        assert good.text == "ok"
        check_line(bad.error or "", "something other than the OpenAI API's JSON")
        with pytest.raises(EndpointError):
            list(engine.stream(ask(model=model)))


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("stream garbage", "something other than the OpenAI API's JSON"),
        ("stream other json", "something other than the OpenAI API's JSON"),
        ("stream cut", "failed: peer closed connection"),
        ("stream ends", "ended the stream before the answer"),
        ("stream hangs", "sent nothing for 0.3 s"),
    ],
)
def test_a_stream_that_goes_wrong_after_a_good_beginning(
    server: Misbehaving, model: str, problem: str
) -> None:
    with asking(server, timeout_s=0.3 if model == "stream hangs" else 5) as engine:
        deltas = engine.stream(ask(model=model))
        assert next(deltas) == Delta("a")
        with pytest.raises(EndpointError) as caught:
            list(deltas)
        check_line(str(caught.value), problem)


def test_a_stream_without_usage_and_done_counts_nothing(server: Misbehaving) -> None:
    with asking(server) as engine:
        *_, last = engine.stream(ask(model="stream without usage"))
    assert last.completion is not None
    assert (last.completion.text, last.completion.finish_reason) == ("ab", "length")
    assert (last.completion.input_tokens, last.completion.output_tokens) == (0, 0)


def test_replies_that_leave_things_out(server: Misbehaving) -> None:
    with asking(server) as engine:
        requests = [ask(model=model) for model in ("no usage", "refusal", "withheld")]
        uncounted, refusal, withheld = engine.generate(requests)
    assert (uncounted.text, uncounted.input_tokens, uncounted.output_tokens) == ("ok", 0, 0)
    assert (refusal.text, refusal.finish_reason, refusal.error) == ("No.", "stop", None)
    check_line(withheld.error or "", "ended with content_filter")


def test_an_answer_that_is_cut_before_it_began_has_failed_and_an_empty_one_has_not(
    server: Misbehaving,
) -> None:
    with asking(server) as engine:
        cut, empty = engine.generate([ask(model="reasons"), ask(model="says nothing")])
        with pytest.raises(EndpointError, match="turn its reasoning off"):
            list(engine.stream(ask(model="reasons"), whole=True))
    check_line(cut.error or "", "cut the answer before it began")
    assert (empty.text, empty.error) == ("", None)


def test_retries_until_the_endpoint_has_time(server: Misbehaving) -> None:
    with asking(server, max_retries=2) as engine:
        assert engine.generate([ask(model="busy at first")])[0].text == "ok"
        assert len(server.asked) == 3
        assert engine.generate([ask(model="busy")])[0].error is not None
        assert len(server.asked) == 6


def test_no_more_at_a_time_than_allowed(server: Misbehaving) -> None:
    with asking(server, max_concurrency=2) as engine:
        assert {c.text for c in engine.generate([ask(model="together") for _ in range(8)])} == {"ok"}
    assert len(server.asked) == 8
    assert server.most_under_way <= 2


def test_closing_lets_what_is_under_way_end_and_fails_what_waits(server: Misbehaving) -> None:
    with asking(server, max_concurrency=1) as engine:
        closer = threading.Thread(target=engine.close)

        def close_after_the_first(index: int) -> None:
            if index == 0:
                closer.start()
                with suppress(RequestError):  # Which says that the engine is closed.
                    while True:
                        engine.check(ask())
                server.may_end.set()

        requests = [ask(model=model) for model in ("fine", "hang", "fine")]
        first, under_way, waiting = engine.generate(requests, close_after_the_first)
        closer.join()
    assert first.text == "ok"
    assert under_way.error is not None
    assert waiting.error == "the engine is closed"


def test_what_asks_for_nothing_is_not_sent(server: Misbehaving) -> None:
    with asking(server) as engine:
        engine.generate([ask(model="fine")])
    assert set(server.asked[0]) == {"model", "messages", "max_tokens", "temperature"}


def test_models_of_an_endpoint(server: Misbehaving) -> None:
    with asking(server) as engine:
        assert engine.models() == ["a", "b"]
    with asking(server, model="alias") as engine:
        assert engine.models() == ["b", "a"]
        for garbage in (b"[1, 2]", b"{}", b'{"data": [1]}', b"<html>"):
            server.listed = garbage
            with pytest.raises(EndpointError, match="OpenAI API's JSON"):
                engine.models()


def test_an_endpoint_out_of_reach() -> None:
    listener = listen("127.0.0.1", 0)
    base_url = url_of(listener)
    listener.close()
    with closing(RemoteEngine(RemoteSpec(base_url=base_url, model="a", max_retries=0))) as engine:
        check_line(engine.generate([ask()])[0].error or "", "Connection refused")
        with pytest.raises(EndpointError, match="failed"):
            engine.models()


# --- The key and the spec ------------------------------------------------------------------------------


def test_the_key_is_the_callers_or_the_settings_and_never_openais(
    server: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID"):
        monkeypatch.setenv(f"OPENAI_{name}", "of-openai-alone")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer of-openai-alone")
    spec = RemoteSpec(base_url=url_of(server.socket), model="fine", max_retries=0)
    settings = read_settings({"TUNEWISE_REMOTE_KEY": f"{KEY}\n", "OPENAI_API_KEY": "of-openai-alone"})
    for api_key, found in [("given", settings), (None, settings), (None, read_settings({}))]:
        with closing(open_remote_engine(spec, api_key=api_key, settings=found)) as engine:
            assert engine.generate([ask(model="fine")])[0].text == "ok"
    assert [headers["authorization"] for headers in server.headers] == [
        "Bearer given",
        f"Bearer {KEY}",
        "Bearer none",
    ]
    assert "of-openai-alone" not in str(server.headers)


def test_the_key_is_not_shown() -> None:
    settings = read_settings({"TUNEWISE_REMOTE_KEY": KEY})
    assert settings.remote_key == KEY
    assert KEY not in repr(settings)
    with closing(RemoteEngine(NOWHERE, api_key=KEY)) as engine:
        assert KEY not in repr(engine)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_carry(key: str) -> None:
    with pytest.raises(SpecError, match="key") as caught:
        RemoteEngine(NOWHERE, api_key=key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000/v1",
        "ftp://localhost",
        "http://",
        "http://localhost:port",
        "http://[",
        "http://local host",
        "http://user:hunter2@localhost/v1",
        "http://localhost/v1?key=hunter2",
        "http://localhost/v1#hunter2",
    ],
)
def test_a_url_that_is_none_or_holds_a_secret(url: str) -> None:
    with pytest.raises(ValidationError, match="base_url") as caught:
        RemoteSpec(base_url=url, model="a")
    assert "hunter2" not in str(caught.value)


def test_a_spec_is_frozen_and_comes_back_from_json() -> None:
    spec = RemoteSpec(base_url="https://example.org/v1/", model="a")
    assert spec.base_url == "https://example.org/v1"
    assert RemoteSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.model = "b"  # type: ignore[misc]
