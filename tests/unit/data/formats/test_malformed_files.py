"""Whatever a file holds, it gives examples, rows with a reason, or one clear line: never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from malformed_files import malformed_files

from tunewise.data.formats import CONTAINERS, SHAPES
from tunewise.data.reading import Reading
from tunewise.data.sources import Scan, scan_examples
from tunewise.errors import DataError

FILES = dict(malformed_files())


def scan_or_refuse(path: Path, reading: Reading) -> Scan | None:
    """The scan, or None for a file that is refused as a whole; either way said in single, short lines."""
    try:
        scan = scan_examples(path, reading=reading)
    except DataError as error:
        assert_readable(error.problem)
        return None
    for row in scan.rejected:
        assert row.line >= 1
        assert_readable(row.reason)
    numbers = [row.line for row in (*scan.examples, *scan.rejected)]
    assert len(numbers) == len(set(numbers)), "no two rows have one number"
    for example in scan.examples:
        assert example.messages[-1].role == "assistant"
        assert example.answer.strip()
    return scan


def assert_readable(told: str) -> None:
    assert told.strip()
    assert "\n" not in told
    assert len(told) < 600
    told.encode("utf-8")


def test_the_corpus_is_large() -> None:
    assert len(FILES) >= 200


@pytest.mark.parametrize("name", FILES)
def test_a_malformed_file_is_told_and_never_crashes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(FILES[name])
    scan_or_refuse(path, Reading())


@pytest.mark.parametrize("container", [container.name for container in CONTAINERS if container.name != "hub"])
def test_a_file_that_is_taken_for_another_kind_is_told(tmp_path: Path, container: str) -> None:
    path = tmp_path / "data"
    for content in FILES.values():
        path.write_bytes(content)
        scan_or_refuse(path, Reading(format=(container,)))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-7", "gb18030"])
def test_a_file_in_another_encoding_than_was_said_is_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data"
    for content in FILES.values():
        path.write_bytes(content)
        scan_or_refuse(path, Reading(encoding=encoding))


@given(content=st.binary(max_size=200), kind=st.sampled_from([b"", b"[", b"{", b"a,prompt\n", b"\xff\xfe"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, kind: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(kind + content)
    scan_or_refuse(path, Reading())


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "messages", "weight"]) | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(data=st.data())
def test_any_values_in_the_fields_of_any_shape(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = data.draw(st.sampled_from(SHAPES))
    rows = st.lists(st.dictionaries(st.sampled_from(shape.fields), values), min_size=1, max_size=3)
    path = tmp_path_factory.getbasetemp() / "any-values"
    path.write_text("\n".join(map(json.dumps, data.draw(rows))), "utf-8")
    scan_or_refuse(path, Reading())


@given(table=st.lists(st.lists(st.text(max_size=5), max_size=4), max_size=4))
def test_any_table(tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "any-table.csv"
    lines = ["prompt,completion,system", *(",".join(fields) for fields in table)]
    path.write_bytes("\n".join(lines).encode("utf-8", errors="surrogatepass"))
    scan_or_refuse(path, Reading())
