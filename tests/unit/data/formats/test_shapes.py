"""Rows of every shape: what conversation they become, and how what is wrong with them is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tunewise.data.reading import parse_reading
from tunewise.data.sources import read_examples, scan_examples

ASKED = {"role": "user", "content": "2000 zl"}
ANSWERED = {"role": "assistant", "content": "PLN"}
SYSTEM = {"role": "system", "content": "Which currency?"}
TOOL = {"type": "function", "function": {"name": "convert"}}


def read(folder: Path, *rows: Any, **options: str) -> list[tuple[tuple[str, str], ...]]:
    """The turns of each example, as pairs of role and content."""
    file = folder / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    examples = read_examples(file, reading=parse_reading(**options))
    return [tuple((turn.role, turn.content) for turn in example.messages) for example in examples]


TURNS = (("user", "2000 zl"), ("assistant", "PLN"))
WITH_SYSTEM = (("system", "Which currency?"), *TURNS)

SAME_CONVERSATION = {
    "chat": {"messages": [ASKED, ANSWERED]},
    "chat as text in a table": {"messages": json.dumps([ASKED, ANSWERED]), "tools": ""},
    "prompt and completion": {"prompt": "2000 zl", "completion": "PLN"},
    "prompt and completion as messages": {"prompt": [ASKED], "completion": [ANSWERED]},
    "instruction and output": {"instruction": "2000 zl", "input": "", "output": "PLN"},
    "instruction without input": {"instruction": "2000 zl", "output": "PLN", "history": []},
    "ShareGPT": {"conversations": [{"from": "human", "value": "2000 zl"}, {"from": "gpt", "value": "PLN"}]},
    "conversations with OpenAI's names": {"conversations": [ASKED, ANSWERED]},
    "conversations as text in a table": {"conversations": json.dumps([ASKED, ANSWERED])},
    "preference": {"prompt": "2000 zl", "chosen": "PLN", "rejected": "USD"},
    "preference as messages": {"prompt": [ASKED], "chosen": [ANSWERED], "rejected": [ASKED]},
    "preference of whole conversations": {"chosen": [ASKED, ANSWERED], "rejected": [ASKED, ASKED]},
    "preference that repeats the prompt": {"prompt": "2000 zl", "chosen": [ASKED, ANSWERED]},
    "OpenAI's preference": {
        "input": {"messages": [ASKED]},
        "preferred_output": [ANSWERED],
        "non_preferred_output": [ASKED],
    },
}


@pytest.mark.parametrize("row", SAME_CONVERSATION.values(), ids=SAME_CONVERSATION.keys())
def test_every_shape_says_the_same_conversation(tmp_path: Path, row: dict[str, Any]) -> None:
    assert read(tmp_path, row) == [TURNS]


def test_a_file_may_mix_shapes(tmp_path: Path) -> None:
    assert read(tmp_path, *SAME_CONVERSATION.values()) == [TURNS] * len(SAME_CONVERSATION)


@pytest.mark.parametrize(
    "name", ["prompt and completion", "instruction and output", "ShareGPT", "preference"]
)
def test_the_field_system_is_the_system_message(tmp_path: Path, name: str) -> None:
    row = SAME_CONVERSATION[name]
    assert read(tmp_path, row | {"system": "Which currency?"}, row | {"system": ""}) == [WITH_SYSTEM, TURNS]


def test_instruction_and_input_are_one_turn(tmp_path: Path) -> None:
    row = {"instruction": "Which currency?", "input": "2000 zl", "output": "PLN"}
    assert read(tmp_path, row) == [(("user", "Which currency?\n\n2000 zl"), ("assistant", "PLN"))]


def test_turns_before_an_instruction_come_first(tmp_path: Path) -> None:
    row = {"instruction": "2000 zl", "output": "PLN", "history": [["5 $", "USD"]]}
    assert read(tmp_path, row) == [(("user", "5 $"), ("assistant", "USD"), *TURNS)]


def test_tools_and_weights_come_through(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    conversation = [
        {"from": "human", "value": "5 $"},
        {"from": "gpt", "value": "hm", "weight": 0},
        {"from": "user", "value": "well?"},
        {"from": "assistant", "value": "USD"},
    ]
    file.write_text(json.dumps({"conversations": conversation, "tools": json.dumps([TOOL])}), "utf-8")
    [example] = read_examples(file)
    assert [tool.name for tool in example.tools] == ["convert"]
    assert [turn.weight for turn in example.messages] == [1, 0, 1, 1]


def test_columns_give_fields_their_names(tmp_path: Path) -> None:
    row = {"question": "2000 zl", "answer": "PLN", "task": "Which currency?", "prompt": "something else"}
    columns = "question=prompt, answer=completion, task=system"
    assert read(tmp_path, row, columns=columns) == [WITH_SYSTEM]


def test_a_named_shape_is_taken_where_a_row_has_two(tmp_path: Path) -> None:
    row = {"prompt": "2000 zl", "completion": "PLN", "messages": [ASKED]}
    assert read(tmp_path, row, format="prompt-completion") == [TURNS]


def test_the_users_groups_go_by_the_files_own_names(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"q": "2000 zl", "a": "PLN", "shop": "x"}), "utf-8")
    [example] = read_examples(file, "shop", parse_reading(columns="q=prompt,a=completion"))
    assert example.group == "x"


BAD_ROWS = {
    "no \"messages\" (the row has: 'question', 'answer')": {"question": "x", "answer": "y"},
    "--columns question=prompt,answer=completion": {"id": 7, "note": "x"},
    "--columns q=prompt,a=completion": {"id": 7, "q": "x", "a": "y"},
    "--columns 'the question=prompt,a=completion'": {"the question": "x", "a": "y"},
    "the rows stand in its field 'data': give a file of that list alone": {"data": [{"messages": []}]},
    "no \"completion\" (the row has: 'prompt')": {"prompt": "x"},
    '"completion" is 7: give a string': {"prompt": "x", "completion": 7},
    '"completion" is an object': {"prompt": "x", "completion": {}},
    '"output" is empty': {"instruction": "x", "output": " "},
    '"input" is an object': {"instruction": "x", "input": {}, "output": "y"},
    "\"history\" is 'x'": {"instruction": "x", "output": "y", "history": "x"},
    '"chosen" is null': {"prompt": "x", "chosen": None, "rejected": "y"},
    "no \"prompt\" (the row has: 'chosen'": {"chosen": "x", "rejected": "y"},
    '"input" is \'x\': give an object with "messages"': {"input": "x", "preferred_output": [ANSWERED]},
    'no "messages" (the row has: nothing)': {"input": {}, "preferred_output": [ANSWERED]},
    '"conversations" is null': {"conversations": None},
    "conversations[0] is an object (it has: 'from')": {"conversations": [{"from": "human"}]},
    "conversations[0] is from 'function_call'": {"conversations": [{"from": "function_call", "value": "x"}]},
    "conversations[0] is 'x'": {"conversations": ["x"]},
    "\"messages\" is '[{', which is no JSON": {"messages": "[{"},
    "ends with 'user'": {"conversations": [{"from": "human", "value": "x"}]},
}


@pytest.mark.parametrize(("told", "row"), BAD_ROWS.items(), ids=BAD_ROWS.keys())
def test_a_bad_row_is_told_by_the_names_of_its_own_fields(tmp_path: Path, told: str, row: Any) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(SAME_CONVERSATION["chat"]) + "\n" + json.dumps(row), "utf-8")
    [rejected] = scan_examples(file).rejected
    assert rejected.line == 2
    assert told in rejected.reason


def test_a_row_of_no_shape_is_told_what_the_rows_before_it_had(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "x", "completion": "y"}\n{"note": 1}', "utf-8")
    [rejected] = scan_examples(file).rejected
    assert rejected.reason.startswith("no \"prompt\" (the row has: 'note')")


def test_a_column_that_a_row_has_not_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"q": "x", "a": "y"}', "utf-8")
    [rejected] = scan_examples(file, reading=parse_reading(columns="question=prompt,a=completion")).rejected
    assert rejected.reason == "no 'question', which --columns names (the row has: 'q', 'a')"
