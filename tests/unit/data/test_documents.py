from __future__ import annotations

from pathlib import Path

import pytest

from tunewise.data.documents import read_documents
from tunewise.errors import DataError


def test_documents_come_from_a_folder_a_file_or_the_rows_of_one(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": 1, "text": "one"}\n\n{"text": "two"}\n')

    assert read_documents(tmp_path) == ("first", "second")
    assert read_documents(tmp_path / "b.md") == ("second",)
    assert read_documents(rows) == ("one", "two")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "holds no documents"),
        ("{}\n", ":1: no document here"),
        ("\n{\n", ":2: not JSON"),
        ("[" * 99_999, "not JSON"),
    ],
)
def test_what_holds_no_documents_is_refused_by_line(tmp_path: Path, content: str, problem: str) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(content)
    with pytest.raises(DataError, match=problem):
        read_documents(rows)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        read_documents(tmp_path / "none.txt")
