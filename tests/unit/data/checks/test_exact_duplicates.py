from __future__ import annotations

from pathlib import Path

from tunewise.checking import CheckSpec, check
from tunewise.store.files import write_jsonl


def test_a_repeated_row_is_named_by_the_line_of_its_repetition(tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    write_jsonl(file, [row("a"), row("b"), row("a")])

    report = check(CheckSpec(data=file))

    assert (report.rows, report.examples) == (3, 2)
    found = {problem.code: problem.lines for problem in report.problems}
    assert found["exact-duplicate"] == (3,)


def row(question: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": "yes"}]}
