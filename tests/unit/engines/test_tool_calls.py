"""Calls of functions by a random model, which is made to begin them where they are not required."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import torch
from tokenizers import AddedToken

from toy import make_loaded, make_tokenizer
from tunewise.engines.base import Delta
from tunewise.engines.grammar import Grammars
from tunewise.engines.local import LocalEngine
from tunewise.engines.logprobs import TokenSpelling
from tunewise.errors import RequestError
from tunewise.records import ChatRequest, Completion, Grammar, Message, Tool, ToolCall

CITY = {
    "type": "object",
    "properties": {"city": {"$ref": "#/$defs/city"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"city": {"enum": ["Oslo", "Zürich"]}},
}
WEATHER = Tool("get_weather", json.dumps(CITY), "The weather of a city.")
DICE = Tool("dice")
SCHEMAS = {"get_weather": CITY, "dice": json.loads(DICE.parameters)}
BEGUN = '<tool_call>\n{"name": "'


def ask(**options: Any) -> ChatRequest:
    fields: dict[str, Any] = {"max_tokens": 400, "tools": (WEATHER, DICE), "temperature": 1.0, "seed": 1}
    return ChatRequest("toy", (Message("user", "Warm?"),), **{**fields, **options})


@pytest.fixture
def engine() -> LocalEngine:
    return LocalEngine(make_loaded(context=2048))


def begin_with(engine: LocalEngine, text: str) -> None:
    """Make every answer begin with `text`, as far as its grammar allows it, and end as soon as it may."""
    token_of = {TokenSpelling(make_tokenizer()).bytes_of(token): token for token in range(258)}
    wanted = iter([token_of[bytes([byte])] for byte in text.encode()])
    original = engine._compute

    def compute(chunks: object) -> torch.Tensor:
        logits = original(chunks)  # type: ignore[arg-type]
        for row in logits:
            row[next(wanted, 1)] += 1000.0
        return logits

    engine._compute = compute  # type: ignore[method-assign, assignment]


def gather(deltas: Iterator[Delta]) -> tuple[list[str | ToolCall], Completion]:
    """Texts and calls as they were streamed, and the whole at the end."""
    pieces: list[str | ToolCall] = []
    for delta in deltas:
        pieces += [delta.text] if delta.text else []
        pieces += delta.tool_calls
        if delta.completion is not None:
            return pieces, delta.completion
    raise AssertionError("no answer")


def check_calls(answer: Completion) -> None:
    assert (answer.finish_reason, answer.error) == ("tool_calls", None)
    for call in answer.tool_calls:
        jsonschema.validate(json.loads(call.arguments), SCHEMAS[call.name])
        assert call.id.startswith("call_")
    assert len({call.id for call in answer.tool_calls}) == len(answer.tool_calls) > 0


def test_required_calls_are_valid_whatever_the_model(engine: LocalEngine) -> None:
    asked = ask(must_call=("get_weather", "dice"), parallel_tool_calls=False)
    answers = engine.generate([replace(asked, seed=seed) for seed in range(8)])
    for answer in answers:
        check_calls(answer)
        assert answer.text == ""
        assert len(answer.tool_calls) == 1
    assert {answer.tool_calls[0].name for answer in answers} == {"get_weather", "dice"}


def test_a_named_function_is_the_one_that_is_called(engine: LocalEngine) -> None:
    for name in ("get_weather", "dice"):
        [answer] = engine.generate([ask(must_call=(name,), parallel_tool_calls=False)])
        check_calls(answer)
        assert answer.tool_calls[0].name == name


def test_several_calls_may_follow_each_other(engine: LocalEngine) -> None:
    begin_with(engine, f'{BEGUN}dice", "arguments": {{}}}}\n</tool_call>\n{BEGUN}get_weather')
    pieces, answer = gather(engine.stream(ask(must_call=("get_weather", "dice"))))
    check_calls(answer)
    assert [call.name for call in answer.tool_calls[:2]] == ["dice", "get_weather"]
    assert pieces == list(answer.tool_calls)


@pytest.mark.parametrize("whole", [False, True])
def test_a_text_may_come_before_a_call_and_none_of_the_call_is_in_it(
    engine: LocalEngine, whole: bool
) -> None:
    begin_with(engine, "Is 1 < 2?\n<tool_call>no call")
    pieces, answer = gather(engine.stream(ask(top_logprobs=0), whole=whole))
    check_calls(answer)
    assert answer.text == "Is 1 < 2?"
    if not whole:
        assert "".join(piece for piece in pieces if isinstance(piece, str)) == answer.text
        assert pieces[-len(answer.tool_calls) :] == list(answer.tool_calls)
    spelled = b"".join(token.bytes for token in answer.logprobs).decode()
    assert spelled.startswith('Is 1 < 2?\n<tool_call>\n{"name": "')


@pytest.mark.parametrize("text", ["No.", "\n", "1 <", "<tool_call", "a <tool_call\n"])
def test_an_answer_may_be_a_text(engine: LocalEngine, text: str) -> None:
    begin_with(engine, text)
    pieces, answer = gather(engine.stream(ask()))
    assert (answer.text, answer.finish_reason, answer.tool_calls) == (text, "stop", ())
    assert "".join(str(piece) for piece in pieces) == text


def test_a_call_that_is_cut_is_no_call(engine: LocalEngine) -> None:
    begin_with(engine, "Hm.\n<tool_call>")
    pieces, answer = gather(engine.stream(ask(max_tokens=30)))
    assert (answer.text, answer.finish_reason, answer.tool_calls) == ("Hm.", "length", ())
    assert "".join(str(piece) for piece in pieces) == "Hm."


def test_beside_a_schema_the_answer_is_json_or_a_call(engine: LocalEngine) -> None:
    asked = ask(grammar=Grammar("json_schema", '{"enum": ["warm", "cold"]}'))
    begin_with(engine, '"')
    [answer] = engine.generate([asked])
    assert answer.text in ('"warm"', '"cold"')
    assert (answer.finish_reason, answer.tool_calls) == ("stop", ())
    begin_with(engine, "<")
    [answer] = engine.generate([asked])
    check_calls(answer)


def test_a_stop_string_ends_an_answer_with_tools_as_any_other(engine: LocalEngine) -> None:
    begin_with(engine, "one two")
    [answer] = engine.generate([ask(stop=("two",))])
    assert (answer.text, answer.finish_reason) == ("one ", "stop")


@pytest.mark.parametrize(
    ("options", "param", "reason"),
    [
        ({"tools": (DICE, Tool("bad", '{"type": "objct"}'))}, "tools", "'bad'.*objct"),
        ({"must_call": ("fly",)}, "tool_choice", "'fly'"),
        ({"tools": (), "must_call": ("dice",)}, "tool_choice", "'dice'"),
        ({"grammar": Grammar("json_schema", '{"not": {}}')}, "response_format", "not"),
    ],
)
def test_what_cannot_be_called_is_refused(
    engine: LocalEngine, options: dict[str, Any], param: str, reason: str
) -> None:
    with pytest.raises(RequestError, match=reason) as caught:
        engine.check(ask(**options))
    assert caught.value.param == param


def make_tagging_tokenizer(*tags: str) -> Any:
    """With a token for each of these tags, as Qwen has them."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    return tokenizer


@pytest.mark.parametrize(
    "tags", [(), ("<think>", "</think>"), ("<tool_call>", "</tool_call>", "<think>", "</think>")]
)
def test_tags_may_be_tokens_of_their_own(tags: tuple[str, ...]) -> None:
    tokenizer = make_tagging_tokenizer(*tags)
    grammars = Grammars(tokenizer, 300)
    call = '<tool_call>\n{"name": "dice", "arguments": {}}\n</tool_call>'

    def allows(request: ChatRequest, text: str) -> bool:
        matcher = grammars.matcher(request, frozenset([1]))
        assert matcher is not None
        for token in [*tokenizer(text)["input_ids"], 1]:
            if matcher.is_over:
                return token == 1
            if not matcher.mask(torch.zeros(300))[token].isfinite():
                return False
            assert matcher.consume(token) is None
        return True

    either: Callable[[str], bool] = lambda text: allows(ask(), text)  # noqa: E731
    required: Callable[[str], bool] = lambda text: allows(ask(must_call=("dice",)), text)  # noqa: E731
    assert either("Hello <b> é")
    assert either("<think>\nHm.</think>No.")
    assert either(f"<think>Hm.</think>\n\nSo:\n{call}\n{call}")
    assert not either(f"{call} and so on")
    assert not either(f"So: {call[:-1]}")
    assert not either("a <tool_call>b")
    assert required(call)
    assert not required(f"So: {call}")
    assert not required("So")
    assert not required(call.replace("dice", "get_weather"))
    assert not allows(ask(parallel_tool_calls=False), f"{call}\n{call}")
