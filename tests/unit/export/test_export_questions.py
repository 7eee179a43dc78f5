"""The rows that an export is proven on: those its run kept back from training, while they can be had."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toy import make_loaded
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples, split_for_training
from tunewise.engines.local import LocalEngine
from tunewise.export.questions import MOST_ANSWER_TOKENS, MOST_ROWS, choose_questions, validation_rows
from tunewise.export.source import ExportSource
from tunewise.records import Example

SEED = 3


def conversation(number: int, answer: str) -> str:
    turns = [("system", "Count."), ("user", f"after {number}?"), ("assistant", answer)]
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})


def write_run(folder: Path, answers: list[str]) -> Path:
    """As much of a run as is read: the data file, and the manifest that names it."""
    folder.mkdir()
    data = folder.parent / "rows.jsonl"
    data.write_text("\n".join(conversation(n, answer) for n, answer in enumerate(answers)))
    manifest = {
        "data": {"path": str(data), "sha256": read_dataset(data).sha256},
        "spec": {"group_key": None, "seed": SEED},
        "split": {"test": 15},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return data


@pytest.fixture
def engine(tuned: ExportSource) -> LocalEngine:
    assert tuned.folder is not None
    engine = LocalEngine(make_loaded())
    engine.load(tuned.id, tuned.folder)
    return engine


def validation_of(data: Path) -> list[Example]:
    return list(split_examples(read_dataset(data).examples, SEED, path=data).validation)


def test_rows_with_functions_are_left_out_as_llama_cpp_is_asked_in_texts(
    tuned: ExportSource, engine: LocalEngine
) -> None:
    assert tuned.run is not None
    data = write_run(tuned.run, [str(number + 1) for number in range(100)])
    tools = [{"type": "function", "function": {"name": "dice"}}]
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    with_tools = [row | {"tools": tools} if number % 2 else row for number, row in enumerate(rows)]
    data.write_text("\n".join(map(json.dumps, with_tools)))
    manifest = json.loads((tuned.run / "manifest.json").read_text())
    manifest["data"]["sha256"] = read_dataset(data).sha256
    (tuned.run / "manifest.json").write_text(json.dumps(manifest))
    expected = [row for row in validation_of(data) if not row.tools]
    assert 0 < len(expected) < len(validation_of(data))
    assert list(choose_questions(tuned, engine).rows) == expected[:MOST_ROWS]


def test_a_tuned_model_is_asked_validation_rows_as_it_was_trained(
    tuned: ExportSource, engine: LocalEngine
) -> None:
    assert tuned.run is not None
    data = write_run(tuned.run, [str(number + 1) for number in range(400)])
    questions = choose_questions(tuned, engine)
    assert questions.origin == "validation"
    assert list(questions.rows) == validation_of(data)[:MOST_ROWS]
    assert [turn.role for turn in questions.approach.messages(questions.rows[0])] == ["user"]
    # "400" and the end of turn, twice.
    assert questions.max_tokens == 8


def test_long_answers_are_fewer_rows_and_at_least_one(tuned: ExportSource, engine: LocalEngine) -> None:
    assert tuned.run is not None
    length = MOST_ANSWER_TOKENS // 3 - 10
    data = write_run(tuned.run, [f"{number:03d}" + "x" * (length - 3) for number in range(60)])
    assert list(choose_questions(tuned, engine).rows) == validation_of(data)[:3]
    data.unlink()
    run = tuned.run.with_name("long")
    data = write_run(run, [f"{number:03d}" + "x" * MOST_ANSWER_TOKENS for number in range(60)])
    assert list(choose_questions(replace(tuned, run=run), engine).rows) == validation_of(data)[:1]


def test_a_model_trained_alone_is_asked_about_its_own_validation_rows(tuned: ExportSource) -> None:
    assert tuned.run is not None
    data = write_run(tuned.run, [str(number) for number in range(60)])
    manifest = tuned.run / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "split": {"train": 54}}))
    expected = split_for_training(read_dataset(data).examples, SEED, path=data).validation
    assert validation_rows(tuned.run) == expected != validation_of(data)


@pytest.mark.parametrize("loss", ["data gone", "data changed", "no manifest", "other manifest"])
def test_without_its_rows_a_model_is_asked_examples(
    tuned: ExportSource, engine: LocalEngine, loss: str
) -> None:
    assert tuned.run is not None
    data = write_run(tuned.run, [str(number + 1) for number in range(40)])
    assert validation_rows(tuned.run)
    if loss == "data gone":
        data.unlink()
    elif loss == "data changed":
        data.write_text(data.read_text() + "\n" + conversation(40, "41"))
    elif loss == "no manifest":
        (tuned.run / "manifest.json").unlink()
    else:
        (tuned.run / "manifest.json").write_text("{}")
    questions = choose_questions(tuned, engine)
    assert questions.origin == "examples"
    assert len(questions.rows) == 5
    assert {turn.role for row in questions.rows for turn in questions.approach.messages(row)} == {
        "system", "user", "assistant",
    }  # fmt: skip


def test_a_base_is_asked_examples_and_expected_to_answer_as_it_does(
    tuned: ExportSource, engine: LocalEngine
) -> None:
    questions = choose_questions(ExportSource(engine.base_id, tuned.base), engine)
    assert questions.origin == "examples"
    assert len({row.answer for row in questions.rows}) > 1
