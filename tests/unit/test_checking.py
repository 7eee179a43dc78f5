from __future__ import annotations

import json
from pathlib import Path

import pytest

from check_samples import PRICES, label_rows, support_rows
from toy import save_base
from tunewise.checking import CheckSpec, check
from tunewise.errors import DataError
from tunewise.store.files import write_jsonl


def test_rows_that_are_no_conversation_are_named_by_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(
        "\n".join(
            [
                json.dumps(row("hello", "hi")),
                "{not json}",
                json.dumps({"messages": [{"role": "user", "content": "a"}]}),
                json.dumps(row("a", " ")),
                json.dumps({"messages": [{"role": "robot", "content": "a"}]}),
            ]
        )
    )
    report = check(CheckSpec(data=file))
    found = {problem.code: problem.lines for problem in report.problems if problem.severity == "error"}
    assert found == {"malformed": (2,), "roles": (3, 5), "empty-turn": (4,), "too-few": ()}
    assert (report.rows, report.examples, report.sound) == (5, 1, False)


def test_the_worst_comes_first_and_then_the_most_frequent(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    write_jsonl(file, [row(*pair) for pair in label_rows({"a": 60, "b": 5, "c": 1, " a": 3})])
    with file.open("a") as lines:
        lines.write("{}\n")
    codes = [problem.code for problem in check(CheckSpec(data=file)).problems]
    assert codes == ["malformed", "too-few-per-label", "stray-space", "rare-label", "imbalance"]


def test_the_examples_that_come_with_the_project_stay_clean() -> None:
    report = check(CheckSpec(data=PRICES))
    assert report.sound
    for problem in report.problems:
        repeats = problem.code in ("exact-duplicate", "near-duplicate")  # Shops write one price in many ways.
        assert repeats or problem.count <= 0.01 * report.rows, problem


def test_rows_are_too_long_by_the_tokens_of_the_model_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    # The toy model's tokens are bytes, and its template adds 20 to a question and an answer.
    write_jsonl(file, [row("a" * length, "b") for length in (78, 79, 80, 81)])
    report = check(CheckSpec(data=file, base=str(save_base(tmp_path / "toy")), max_tokens=100))
    found = {problem.code: problem.lines for problem in report.problems}
    assert found["too-long"] == (3, 4)


def test_other_files_are_read_and_refused_by_name(tmp_path: Path) -> None:
    file, other = tmp_path / "data.jsonl", tmp_path / "other.jsonl"
    write_jsonl(file, [row(*pair) for pair in support_rows()])
    other.write_text("{}\n")
    for option in ("validation", "test", "docs"):
        with pytest.raises(DataError, match=r"other\.jsonl:1: (no|has)"):
            check(CheckSpec(data=file, **{option: other}))


def test_an_empty_file_has_too_few_rows(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text("")
    report = check(CheckSpec(data=file))
    assert (report.rows, [problem.code for problem in report.problems]) == (0, ["too-few"])


def row(question: str, answer: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
