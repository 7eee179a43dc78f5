"""One system message for all rows is the instruction; different ones are a part of their rows' inputs."""

import json

import pytest

from tunewise.data.dataset import read_dataset
from tunewise.data.instructions import common_instruction
from tunewise.retrieval.retriever import query_of

FRENCH, GERMAN = "Translate to French.", "Translate to German."


@pytest.fixture
def read(tmp_path):
    def read(systems, given=(), **options):
        files = []
        for name, rows in (("data", systems), ("test", given)):
            lines = [
                {"prompt": f"house {number}", "completion": f"{number}"}
                | ({} if system is None else {"system": system})
                for number, system in enumerate(rows, start=100 if name == "test" else 0)
            ]
            files.append(tmp_path / f"{name}.jsonl")
            files[-1].write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return read_dataset(files[0], given={"test": files[1]} if given else None, **options)

    return read


@pytest.mark.parametrize(
    ("systems", "instruction"),
    [
        ([FRENCH] * 20, FRENCH),
        ([FRENCH] * 95 + [GERMAN] * 5, FRENCH),  # a slip of a few rows
        ([FRENCH] * 12 + [None] * 8, FRENCH),  # those without one are asked under it, too
        ([None] * 20, None),
    ],
)
def test_what_nearly_all_rows_open_with_is_their_instruction(read, systems, instruction):
    dataset = read(systems)
    assert not dataset.own_system
    assert common_instruction(dataset.examples) == instruction
    assert all([turn.role for turn in example.turns] == ["user"] for example in dataset.examples)


@pytest.mark.parametrize(
    "systems",
    [
        [f"You serve customer {number}." for number in range(20)],
        [FRENCH] * 12 + [GERMAN] * 8,
        [None] * 12 + [GERMAN] * 8,
    ],
)
def test_system_messages_that_differ_are_inputs(read, systems):
    dataset = read(systems)
    assert common_instruction(dataset.examples) is None
    assert [e.turns[0].content for e in dataset.examples if e.instruction] == [s for s in systems if s]
    assert dataset.examples[-1].instruction in query_of(dataset.examples[-1])
    assert "their system messages differ" in dataset.describe()


def test_the_same_words_under_another_system_message_are_another_input(tmp_path):
    rows = [
        {"system": s, "prompt": "house", "completion": c} for s, c in ((FRENCH, "maison"), (GERMAN, "Haus"))
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    dataset = read_dataset(tmp_path / "data.jsonl")
    assert dataset.repeated.inputs == 0
    assert len({example.group for example in dataset.examples}) == 2


def test_a_given_file_is_read_as_the_data_are(read):
    dataset = read([FRENCH] * 6 + [GERMAN] * 6, given=[GERMAN] * 3)
    assert {example.turns[0].content for example in dataset.given_examples["test"]} == {GERMAN}
    alike = read([FRENCH] * 12, given=[FRENCH, GERMAN])
    assert {example.turns[0].role for example in alike.given_examples["test"]} == {"user"}


def test_given_instructions_stand_for_all_system_messages(read):
    dataset = read([FRENCH] * 6 + [GERMAN] * 6, own_system=False)
    assert {len(example.turns) for example in dataset.examples} == {1}
    assert "their system messages differ" not in dataset.describe()
