"""Facts that no training teaches are told, with what documents hold of them."""

from __future__ import annotations

from pathlib import Path

from tunewise.checking import CheckSpec, check
from tunewise.store.files import write_jsonl

PRICES = Path(__file__).parents[4] / "examples" / "prices.jsonl"


def test_facts_are_told_and_found_in_the_documents(tmp_path: Path) -> None:
    file, docs = tmp_path / "data.jsonl", tmp_path / "docs.jsonl"
    names = [f"star{chr(97 + n // 20)}{chr(97 + n % 20)}" for n in range(200)]
    write_jsonl(
        file, [row(f"How far is {name}?", f"{n * 17 % 199} light years") for n, name in enumerate(names)]
    )
    write_jsonl(docs, [{"text": f"{name} is {n * 17 % 199} light years off"} for n, name in enumerate(names)])

    (alone,) = problems(CheckSpec(data=file))
    (beside,) = problems(CheckSpec(data=file, docs=docs))

    assert (alone.severity, alone.lines, alone.examined) == ("warning", (), None)
    assert "--docs FOLDER" in alone.message
    assert "stands only in the documents, 0% nowhere" in beside.message


def test_answers_built_from_the_prompt_are_no_facts() -> None:
    report = check(CheckSpec(data=PRICES))
    assert not problems(CheckSpec(data=PRICES))
    assert report.answer_sources is not None
    assert report.answer_sources.prompt > 0.9
    assert report.to_json()["answer_sources"]["prompt"] == report.answer_sources.prompt


def test_of_a_handful_of_rows_nothing_can_be_told(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    write_jsonl(file, [row(f"How far is star {n}?", f"{n * 17} light years") for n in range(3)])
    assert not problems(CheckSpec(data=file))


def problems(spec: CheckSpec) -> list:
    return [problem for problem in check(spec).problems if problem.code == "answers-not-in-data"]


def row(question: str, answer: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
