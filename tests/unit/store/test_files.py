from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.store import files

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@given(rows=st.lists(JSON, max_size=5))
def test_rows_come_back_as_written_whatever_line_breaks_they_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[object]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    files.write_jsonl(path, [*rows, "line\u2028separator"])
    assert files.read_jsonl(path) == [*rows, "line\u2028separator"]


def test_a_failed_write_leaves_the_old_file_and_no_scrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "verdict.json"
    files.write_text(path, "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


def test_nan_is_refused_because_json_has_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []


def test_parents_are_made(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a" / "b" / "x.json", {"£": 1})
    assert json.loads((tmp_path / "a" / "b" / "x.json").read_text("utf-8")) == {"£": 1}


def test_a_new_folder_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with files.new_folder(out) as folder:
        (folder / "a").write_text("a")
        assert not out.exists()
    assert [path.name for path in out.iterdir()] == ["a"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_a_new_folder_that_fails_leaves_what_was_there_and_no_scrap(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.new_folder(tmp_path / "out") as folder:
        (folder / "no folder" / "a").write_text("a")
    assert list(tmp_path.iterdir()) == []
    files.write_text(tmp_path / "out" / "mine", "mine")
    with pytest.raises(OSError, match="not empty"), files.new_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("a")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
