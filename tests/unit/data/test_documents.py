"""Documents are texts, Markdown and JSONL, alone or in a folder."""

from pathlib import Path

import pytest

from tunewise.data.documents import read_documents
from tunewise.errors import DataError


def test_a_folder_gives_all_its_documents_in_the_order_of_their_paths(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "z.txt").write_text("last\n", "utf-8")
    (tmp_path / "b.jsonl").write_text('{"id": 1, "text": "two"}\n\n{"text": "thrée"}\n', "utf-8")
    (tmp_path / "a.md").write_text("\ufeff# one", "utf-8")
    (tmp_path / "empty.txt").write_text("\n", "utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    assert read_documents(tmp_path) == ("# one", "two", "thrée", "last\n")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"body": "y"}', r':2: has null as "text": give \{"text": "..."\}'),
        ("a.jsonl", b"[1]", ":1: has null as"),
        ("a.jsonl", b"{", ":1: not JSON"),
        ("a.txt", b"\xff", "is not UTF-8"),
        ("a.pdf", b"%PDF", "is no document that can be read: give one that ends with .txt, "),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        read_documents(tmp_path / name)


def test_a_path_without_documents_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="holds no documents"):
        read_documents(tmp_path)
    with pytest.raises(DataError, match="there is no such file or folder"):
        read_documents(tmp_path / "nothing")
