"""Reading chat JSONL: what is accepted, and how each thing that is wrong is told."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.data.duplicates import example_id
from tunewise.data.sources import read_examples
from tunewise.data.strict_json import MAX_DIGITS, STRICT_JSON
from tunewise.errors import DataError
from tunewise.records import Message

USER = {"role": "user", "content": "2000 zł"}
ASSISTANT = {"role": "assistant", "content": '{"amount": 2000}'}
SYSTEM = {"role": "system", "content": "Extract the price."}


def row(*messages, **fields):
    return json.dumps({"messages": list(messages or (USER, ASSISTANT)), **fields}, ensure_ascii=False)


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "data.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problem(path, **options):
    with pytest.raises(DataError) as caught:
        read_examples(path, **options)
    return caught.value


def test_a_row_becomes_an_example(file):
    (example,) = read_examples(file(row(SYSTEM, USER, ASSISTANT) + "\n"))
    assert example.instruction == "Extract the price."
    assert example.turns == (Message("user", "2000 zł"),)
    assert example.answer == '{"amount": 2000}'
    assert example.line == 1
    assert len(example.id) == 16
    assert int(example.id, 16) >= 0


def test_several_turns_keep_their_weights(file):
    earlier = {**ASSISTANT, "weight": 0}
    (example,) = read_examples(file(row(USER, earlier, USER, ASSISTANT)))
    assert [m.weight for m in example.messages] == [1, 0, 1, 1]


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_are_fine(file):
    examples = read_examples(file(b"\xef\xbb\xbf" + row().encode() + b"\r\n\r\n  \r\n" + row().encode()))
    assert [e.line for e in examples] == [1, 4]


def test_a_line_separator_inside_a_string_does_not_end_the_line(file):
    user = {"role": "user", "content": "one\u2028two\u0085three"}
    (example,) = read_examples(file(row(user, ASSISTANT)))
    assert example.turns[0].content == "one\u2028two\u0085three"


def test_what_exports_write_for_absent_fields_is_fine(file):
    assistant = {**ASSISTANT, "tool_calls": None, "function_call": None, "annotations": [], "weight": None}
    (example,) = read_examples(file(row(USER, assistant, tools=[])))
    assert example.messages[-1].weight == 1


def test_the_id_depends_on_the_conversation_alone(file):
    first, second = read_examples(file(row() + "\n" + row(source="another field")))
    assert first.id == second.id
    assert first.id != example_id((Message("user", "2000 zł"), Message("assistant", "{}")))


BAD_ROWS = {
    "{'messages': []}": "not JSON: Expecting property name enclosed in double quotes at column 2",
    row() + row(): "not JSON: Extra data at column",
    "[1, 2]": "a list where an object",
    "7": "7 where an object",
    '{"messages": [], "messages": []}': "'messages' appears twice",
    '{"a": 1}': "no \"messages\" (the row has: 'a')",
    "{}": "the row has: nothing",
    '{"messages": {}}': '"messages" is an object',
    '{"messages": null}': '"messages" is null',
    row().replace("2000 zł", "\\u0000"): "NUL character",
    row().replace("2000 zł", "\\ud800"): "half a surrogate pair (\\ud800)",
    row().replace("2000 zł", "\x01"): "Invalid control character",
    row() + "\0": "NUL byte",
    row(score=float("nan")): "NaN is not a JSON value",
    row(score=float("-inf")): "-Infinity is not a JSON value",
    row()[:-1] + ', "n": 1e999}': "1e999 is too large",
    row()[:-1] + ', "n": ' + "9" * 5000 + "}": "5000 digits",
    '{"messages": ' + "[" * 100_000: "nested too deeply",
    row(functions=[{}]): "the row has 'functions', the old form: use 'tools'",
    row(parallel_tool_calls="no"): "\"parallel_tool_calls\" is 'no'",
}

BAD_MESSAGES = {
    '"messages" is empty': [],
    "messages[0] is 'hello'": ["hello", ASSISTANT],
    "messages[0] has the role 'human'": [{"role": "human", "content": "x"}, ASSISTANT],
    "messages[0] has the role null": [{"content": "x"}, ASSISTANT],
    "messages[0] has the role a list": [{"role": [], "content": "x"}, ASSISTANT],
    "messages[1] has 'function_call', the old form: use 'tool_calls'": [
        USER,
        {**ASSISTANT, "function_call": {"name": "f"}},
    ],
    "messages[0] has 'name': only role, content, weight, tool_calls": [{**USER, "name": "ann"}, ASSISTANT],
    "messages[0] has a list as content": [{"role": "user", "content": [{"type": "text"}]}, ASSISTANT],
    "messages[1] has the content null": [USER, {"role": "assistant", "content": None}],
    "messages[1] has the content 2000": [USER, {"role": "assistant", "content": 2000}],
    "messages[1] has an empty content ' \\n'": [USER, {"role": "assistant", "content": " \n"}],
    "messages[1] has the weight 2": [USER, {**ASSISTANT, "weight": 2}],
    "messages[1] has the weight true": [USER, {**ASSISTANT, "weight": True}],
    "messages[1] has the weight '1'": [USER, {**ASSISTANT, "weight": "1"}],
    "the last assistant message has weight 0": [USER, {**ASSISTANT, "weight": 0}],
    "messages[0] is 'assistant' where 'user' belongs": [ASSISTANT, USER],
    "messages[1] is 'user' where 'assistant' belongs": [USER, USER, ASSISTANT],
    "messages[1] is 'system' where 'user' belongs": [SYSTEM, SYSTEM, USER, ASSISTANT],
    "messages[2] is 'system' where 'user' belongs": [USER, ASSISTANT, SYSTEM],
    "ends with 'user'": [USER, ASSISTANT, USER],
    "ends with 'system'": [SYSTEM],
}


@pytest.mark.parametrize(("line", "told"), BAD_ROWS.items(), ids=BAD_ROWS.values())
def test_a_bad_row_is_told_with_its_line_and_value(file, line, told):
    error = problem(file(row() + "\n" + line + "\n"))
    assert error.line == 2
    assert told in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(("told", "messages"), BAD_MESSAGES.items(), ids=BAD_MESSAGES.keys())
def test_a_bad_conversation_is_told_with_its_line_and_value(file, told, messages):
    error = problem(file(row() + "\n" + json.dumps({"messages": messages})))
    assert error.line == 2
    assert told in str(error)


def test_bytes_that_are_not_utf8_are_told_with_their_place(file):
    error = problem(file(row().encode() + b"\n" + row().encode("latin2")))
    assert error.line == 2
    assert "byte 0xb3" in str(error)
    assert "is not UTF-8" in str(error)


def test_offending_values_are_shortened(file):
    error = problem(file(row({"role": "x" * 10_000, "content": "x"}, ASSISTANT)))
    assert len(error.problem) < 200


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff", " \r\n"])
def test_a_file_without_examples_is_told(file, content):
    assert "holds no examples" in str(problem(file(content)))


def test_a_missing_file_a_folder_and_an_impossible_path_are_told(tmp_path):
    assert "no such file" in str(problem(tmp_path / "absent.jsonl"))
    assert "is a folder" in str(problem(tmp_path))
    assert "cannot be opened" in str(problem("a\0b"))
    assert "cannot be read" in str(problem(tmp_path / ("x" * 300)))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read anything")
def test_an_unreadable_file_is_told(file):
    path = file(row())
    path.chmod(0)
    assert "cannot be read: Permission denied" in str(problem(path))


def test_the_users_groups_are_read_from_the_named_field(file):
    other = {"role": "user", "content": "another"}
    examples = read_examples(file(row(customer="ann") + "\n" + row(other, ASSISTANT, customer=7)), "customer")
    assert [e.group for e in examples] == ["ann", "7"]


@pytest.mark.parametrize("value", [None, 1.5, True, [], {}, "", "\ud800"])
def test_a_group_that_is_no_name_is_told(file, value):
    error = problem(
        file(json.dumps({"messages": [USER, ASSISTANT], "customer": value})), group_key="customer"
    )
    assert error.line == 1
    assert "the group 'customer'" in str(error)


def test_a_row_without_the_group_is_told(file):
    error = problem(file(row(customer="ann") + "\n" + row()), group_key="customer")
    assert error.line == 2
    assert "no field 'customer' to group by (the row has: 'messages')" in str(error)


def test_one_input_under_two_user_groups_joins_them(file):
    lines = [
        row(customer="bea"),
        row(customer="ann"),
        row({"role": "user", "content": "x"}, ASSISTANT, customer="bea"),
    ]
    assert {e.group for e in read_examples(file("\n".join(lines)), "customer")} == {"ann"}


def test_numbers_up_to_what_a_float_holds_are_json():
    assert STRICT_JSON.decode("9" * MAX_DIGITS) == int("9" * MAX_DIGITS)
    assert STRICT_JSON.decode('{"a": 1.5, "b": [true, null]}') == {"a": 1.5, "b": [True, None]}


texts = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"]) | values, "content": texts | values},
    optional={"weight": st.sampled_from([0, 1]) | values, "tool_calls": values},
)
rows = values | st.fixed_dictionaries({"messages": st.lists(turns | values, max_size=4) | values})


def examples_or_data_error(path):
    try:
        examples = read_examples(path)
    except DataError:
        return
    assert examples
    for example in examples:
        assert example.messages[-1].role == "assistant"
        assert example.answer.strip()


@given(content=st.binary(max_size=60))
def test_no_bytes_whatever_give_anything_but_examples_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_bytes(content)
    examples_or_data_error(path)


@given(content=st.lists(rows, max_size=3))
def test_no_json_whatever_gives_anything_but_examples_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    path.write_text("\n".join(json.dumps(value) for value in content), "utf-8")
    examples_or_data_error(path)
