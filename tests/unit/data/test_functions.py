"""Rows with functions: what is accepted, and how each thing that is wrong is told."""

import json

import pytest

from tunewise.data.duplicates import example_id
from tunewise.data.sources import read_examples
from tunewise.errors import DataError
from tunewise.records import Tool, ToolCall

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": ["integer", "null"]}}}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city", "parameters": SCHEMA},
}
DICE = {"type": "function", "function": {"name": "dice"}}
ASKED = {"role": "user", "content": "Warm in Zürich?"}
ARGUMENTS = '{"city":"Zürich","days":null}'


def call(name="weather", arguments=ARGUMENTS, id="call_1"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls, **fields):
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **fields}


def result(id="call_1", content="21 °C"):
    return {"role": "tool", "tool_call_id": id, "content": content}


ANSWER = {"role": "assistant", "content": "Yes, 21 °C."}


@pytest.fixture
def read(tmp_path):
    def read(*messages, tools=(WEATHER, DICE), **fields):
        path = tmp_path / "data.jsonl"
        path.write_text(
            json.dumps({"messages": messages, "tools": tools, **fields}, ensure_ascii=False), "utf-8"
        )
        [example] = read_examples(path)
        return example

    return read


def test_functions_and_calls_become_part_of_the_example(read):
    example = read(ASKED, calling(call(), weight=0), result(), ANSWER, parallel_tool_calls=False)
    assert example.tools == (Tool("weather", json.dumps(SCHEMA), "Of a city"), Tool("dice"))
    assert not example.parallel_tool_calls
    [asked, calls, told, answer] = example.messages
    assert (calls.content, calls.weight) == ("", 0)
    assert calls.tool_calls == (ToolCall("call_1", "weather", '{"city": "Zürich", "days": null}'),)
    assert (told.role, told.tool_call_id, told.content) == ("tool", "call_1", "21 °C")
    assert example.answer == answer.content
    assert example.turns == (asked, calls, told)


def test_arguments_as_text_and_as_an_object_are_the_same_and_nothing_is_filled_in(read):
    written, given = (read(ASKED, calling(call(arguments=a))) for a in (ARGUMENTS, json.loads(ARGUMENTS)))
    assert written.messages == given.messages
    assert written.id == given.id
    rolled = read(ASKED, calling(call(), call("dice", "{}", "call_2")))
    assert [c.arguments for c in rolled.messages[-1].tool_calls] == ['{"city": "Zürich", "days": null}', "{}"]


def test_an_answer_that_calls_is_compared_by_names_and_arguments(read):
    first = read(ASKED, calling(call(arguments='{"days": 2, "city": "Bern"}')))
    second = read(
        ASKED, calling(call(arguments='{"city": "Bern", "days": 2}', id="other"), content="Let me see.")
    )
    assert first.answer == second.answer
    assert json.loads(first.answer) == {
        "tool_calls": [{"name": "weather", "arguments": {"city": "Bern", "days": 2}}]
    }


def test_results_of_parallel_calls_come_in_any_order(read):
    calls = calling(call(), call("dice", "{}", "call_2"))
    example = read(ASKED, calls, result("call_2", "6"), result(), ANSWER)
    assert [message.tool_call_id for message in example.messages] == [None, None, "call_2", "call_1", None]


def test_the_id_knows_functions_and_calls_but_not_the_ids_of_calls(read):
    whole = read(ASKED, calling(call()))
    assert whole.id == read(ASKED, calling(call(id="another"))).id
    others = [
        read(ASKED, calling(call()), tools=[WEATHER]),
        read(ASKED, calling(call(arguments="{}"))),
        read(ASKED, calling(call("dice", ARGUMENTS))),
        read(ASKED, ANSWER),
    ]
    assert len({whole.id, *(example.id for example in others)}) == 5


def test_the_id_of_a_row_without_functions_is_what_it_was(read):
    example = read(ASKED, ANSWER, tools=[])
    assert example.id == example_id(example.messages) == "f94a55a9372c2805"


BAD_TOOLS = {
    "\"tools\" is 'weather'": "weather",
    "tools[0] is no function": [{"name": "weather"}],
    "tools[0] has the type 'retrieval'": [{"type": "retrieval", "function": {"name": "f"}}],
    "tools[0] has the name 'the weather'": [{"function": {"name": "the weather"}}],
    "tools[0] has the name null": [{"function": {}}],
    "tools[0].function has 'params': only name, description": [{"function": {"name": "f", "params": {}}}],
    "tools[0].function has the description 1": [{"function": {"name": "f", "description": 1}}],
    "tools[0].function has the parameters a list": [{"function": {"name": "f", "parameters": [1]}}],
    "\"tools\" describes 'dice' twice": [DICE, DICE],
    "messages[1] calls 'weather', but the row's tools describe dice": [DICE],
    "messages[1] calls 'weather', but the row's tools describe nothing": [],
}


@pytest.mark.parametrize(("told", "tools"), BAD_TOOLS.items(), ids=BAD_TOOLS)
def test_bad_functions_are_told(read, told, tools):
    with pytest.raises(DataError) as caught:
        read(ASKED, calling(call()), tools=tools)
    assert told in str(caught.value)


BAD_TURNS = {
    "messages[1].tool_calls is an object": [ASKED, {"role": "assistant", "tool_calls": {}}],
    "messages[1].tool_calls[0] is no function": [ASKED, calling({"id": "a", "name": "weather"})],
    "messages[1].tool_calls[0] has the id null": [ASKED, calling(call(id=None))],
    "messages[1].tool_calls[0] has the arguments null": [ASKED, calling(call(arguments=None))],
    "messages[1].tool_calls[0] has arguments that are not JSON": [
        ASKED,
        calling(call(arguments="city=Bern")),
    ],
    "has arguments that are not JSON: the key 'a' appears": [ASKED, calling(call(arguments='{"a":1,"a":2}'))],
    "messages[1].tool_calls[0] has the arguments a list": [ASKED, calling(call(arguments="[1]"))],
    "messages[1].tool_calls[0].arguments holds half": [ASKED, calling(call(arguments='{"a": "\\ud800"}'))],
    "messages[1].tool_calls holds two calls of one id": [ASKED, calling(call(), call())],
    "messages[0] has 'tool_calls' but the role 'user'": [{**ASKED, "tool_calls": [call()]}, ANSWER],
    "messages[0] has 'tool_call_id' but the role 'user'": [{**ASKED, "tool_call_id": "call_1"}, ANSWER],
    "messages[1] has the content null": [ASKED, {"role": "assistant", "content": None, "tool_calls": []}],
    "messages[1] is 'tool' where 'assistant' belongs": [ASKED, result(), ANSWER],
    "messages[2] is 'user' where 'tool' belongs: each call": [ASKED, calling(call()), ASKED, ANSWER],
    "messages[2] has the tool_call_id null": [ASKED, calling(call()), result(None), ANSWER],
    "messages[2] is the result of the call 'call_9'": [ASKED, calling(call()), result("call_9"), ANSWER],
    "ends with 'tool'": [ASKED, calling(call()), result()],
}


@pytest.mark.parametrize(("told", "turns"), BAD_TURNS.items(), ids=BAD_TURNS)
def test_bad_calls_and_results_are_told(read, told, turns):
    with pytest.raises(DataError) as caught:
        read(*turns)
    assert told in str(caught.value)


def test_calls_at_once_are_refused_where_the_row_says_one_at_a_time(read):
    turns = ASKED, calling(call(), call("dice", "{}", "call_2"))
    assert read(*turns)
    with pytest.raises(DataError, match=r"messages\[1\] makes 2 calls at once"):
        read(*turns, parallel_tool_calls=False)
