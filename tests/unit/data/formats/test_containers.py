"""Files of every kind: the rows and the numbers that come out of them, and how damage is told."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunewise.data.dataset import read_dataset, sha256_of_data
from tunewise.data.reading import parse_reading
from tunewise.data.sources import Scan, read_examples, scan_examples
from tunewise.errors import DataError

ROWS = [
    {"prompt": "2000 zl", "completion": "PLN"},
    {"prompt": "5 £, or\n“six”", "completion": "GBP"},
    {"prompt": "7 €", "completion": "EUR"},
]
EXPECTED = [(row["prompt"], row["completion"]) for row in ROWS]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return bytes(sink.getvalue())


def jsonl(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


CSV = 'prompt,completion\n2000 zl,PLN\n\n"5 £, or\n“six”",GBP\n7 €,EUR\n'
CONTENTS: dict[str, tuple[bytes, list[int]]] = {
    "jsonl": (jsonl(ROWS).encode(), [1, 2, 3]),
    "json, a row per line": (("[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n").encode(), [2, 3, 4]),
    "json, indented": (json.dumps(ROWS, indent=2).encode(), [2, 6, 10]),
    "json, on one line": (json.dumps(ROWS).encode(), [1, 2, 3]),
    "csv": (CSV.encode(), [2, 4, 6]),
    "csv with semicolons": (CSV.replace(",", ";").replace("£;", "£,").encode(), [2, 4, 6]),
    "csv with tabs, as Excel writes Unicode text": (
        CSV.replace(",", "\t").replace("£\t", "£,").encode("utf-16"),
        [2, 4, 6],
    ),
    "csv of Windows": (b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode(), [2, 4, 6]),
    "tsv": (CSV.replace(",", "\t").replace("£\t", "£,").encode(), [2, 4, 6]),
    "parquet": (parquet(ROWS), [1, 2, 3]),
}
PACKED: dict[str, Callable[[bytes], bytes]] = {"as it is": bytes, "gzip": gzip.compress, "zstd": zstd}


def write(folder: Path, content: bytes | str, name: str = "rows.txt") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def said(scan: Scan) -> list[tuple[str, str]]:
    unified = [[turn.content.replace("\r\n", "\n") for turn in example.messages] for example in scan.examples]
    return [(question, answer) for question, answer in unified]


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED.keys())
@pytest.mark.parametrize(("content", "lines"), CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_is_recognised_by_its_content_and_numbered_as_an_editor_does(
    tmp_path: Path, content: bytes, lines: list[int], packed: Callable[[bytes], bytes]
) -> None:
    scan = scan_examples(write(tmp_path, packed(content)))
    assert scan.rejected == ()
    assert said(scan) == EXPECTED
    assert [example.line for example in scan.examples] == lines


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("kind", ["jsonl", "json, indented", "csv", "csv of Windows", "tsv"])
def test_a_byte_order_mark_says_how_text_is_encoded(tmp_path: Path, kind: str, encoding: str) -> None:
    content, lines = CONTENTS[kind]
    scan = scan_examples(write(tmp_path, content.decode("utf-8-sig").encode(encoding)))
    assert said(scan) == EXPECTED
    assert [example.line for example in scan.examples] == lines


def test_latin_1_is_told_and_read_where_it_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, CSV.translate({ord("“"): "", ord("”"): "", ord("€"): "E"}).encode("latin-1"))
    scan = scan_examples(file)
    assert [row.line for row in scan.rejected] == [4]
    assert "byte 0xa3 at position 4 is not UTF-8" in scan.rejected[0].reason
    assert "--encoding latin-1" in scan.rejected[0].reason
    assert said(scan_examples(file, reading=parse_reading(encoding="latin-1")))[1] == ("5 £, or\nsix", "GBP")


def test_a_file_without_a_known_column_needs_its_name_or_a_word(tmp_path: Path) -> None:
    table = "q\ta\n2000 zl\tPLN\n"
    columns = "q=prompt,a=completion"
    for name, options in (("rows.tsv", {}), ("rows.tsv.gz", {}), ("rows.txt", {"format": "tsv"})):
        content = gzip.compress(table.encode()) if name.endswith("gz") else table
        reading = parse_reading(columns=columns, **options)
        assert said(scan_examples(write(tmp_path, content, name), reading=reading)) == EXPECTED[:1]


def test_content_counts_for_more_than_the_name(tmp_path: Path) -> None:
    assert said(scan_examples(write(tmp_path, jsonl(ROWS), "rows.csv"))) == EXPECTED


CALLS = [
    {
        "messages": [
            {"role": "user", "content": question},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
                ],
            },
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "parameters": {
                        "type": "object",
                        "properties": {key: {"type": "string"} for key in arguments},
                    },
                },
            }
        ],
    }
    for question, name, arguments in (
        ("Rain in Rome?", "weather", {"city": "Rome"}),
        ("5 £ in €?", "convert", {"amount": "5", "to": {"currency": "EUR"}}),
    )
]


def test_arrow_fills_no_arguments_in(tmp_path: Path) -> None:
    filled = pa.Table.from_pylist(CALLS).to_pylist()[0]["messages"][1]["tool_calls"][0]["function"][
        "arguments"
    ]
    assert filled == {"city": "Rome", "amount": None, "to": None}

    from_json = read_examples(write(tmp_path, jsonl(CALLS)))
    from_parquet = read_examples(write(tmp_path, parquet(CALLS)))
    assert [example.id for example in from_parquet] == [example.id for example in from_json]
    assert from_parquet[0].messages[-1].tool_calls[0].arguments == '{"city": "Rome"}'


def test_what_parquet_knows_and_json_does_not_is_told(tmp_path: Path) -> None:
    calls = json.loads(json.dumps(CALLS[:1]))
    calls[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] = {"day": datetime(2024, 5, 1)}
    calls[0]["read_at"] = datetime(2024, 5, 1)
    [rejected] = scan_examples(write(tmp_path, parquet(calls))).rejected
    assert "arguments holds what JSON cannot" in rejected.reason


def test_text_in_parquet_that_is_not_utf8_costs_its_row_alone(tmp_path: Path) -> None:
    broken = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    table = pa.table({"prompt": broken, "completion": pa.array(["x", "y", "z"])})
    pq.write_table(table, tmp_path / "rows.parquet")
    scan = scan_examples(tmp_path / "rows.parquet")
    assert [example.line for example in scan.examples] == [1, 3]
    assert [row.line for row in scan.rejected] == [2]


DAMAGED_TEXTS = {
    "array cut in the middle": (json.dumps(ROWS, indent=2)[:-20], [2, 6], [10], "not JSON"),
    "array without its end": (json.dumps(ROWS, indent=2)[:-2], [2, 6, 10], [13], "the end of the array"),
    "array with a comma too many": (json.dumps(ROWS)[:-1] + ",]", [1, 2, 3], [4], "not JSON"),
    "something behind the array": (json.dumps(ROWS) + "\nx", [1, 2, 3], [4], "the end of the array"),
    "array with a repeated key": (
        '[{"prompt": "a", "prompt": "b"},\n{"prompt": "x", "completion": "y"}]',
        [2],
        [1],
        "'prompt' appears twice",
    ),
    "array of numbers": ("[1, 2]", [], [1, 2], "1 where an object"),
    "too many fields": ("prompt,completion\na,b,c\nd,e\n", [3], [2], "has 3 fields where the header has 2"),
    "too few fields": ("prompt,completion\na\nd,e\n", [3], [2], "has 1 fields where the header has 2"),
    "quote that is never closed": ('prompt,completion\nd,e\n"a,b\nf,g\n', [2], [3], "is never closed"),
    "quote within a field": ('prompt,completion\n"a"b,c\nd,e\n', [3], [2], "not CSV"),
}


@pytest.mark.parametrize(
    ("content", "usable", "lines", "told"), DAMAGED_TEXTS.values(), ids=DAMAGED_TEXTS.keys()
)
def test_what_is_whole_in_a_damaged_text_is_read(
    tmp_path: Path, content: str, usable: list[int], lines: list[int], told: str
) -> None:
    scan = scan_examples(write(tmp_path, content))
    assert [example.line for example in scan.examples] == usable
    assert [row.line for row in scan.rejected] == lines
    assert told in scan.rejected[0].reason


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_stands_before_the_cut_of_a_compressed_file_is_read(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    # Numbers, so that they do not shrink to one block.
    rows = [{"prompt": str(number**9), "completion": "x"} for number in range(60_000)]
    packed = pack(jsonl(rows).encode())
    scan = scan_examples(write(tmp_path, packed[: len(packed) // 2]))
    assert len(scan.examples) > 1000
    [rejected] = scan.rejected
    assert rejected.line == len(scan.examples) + 1
    assert "from here on it cannot be read" in rejected.reason


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_compressed_array_that_is_cut_is_read_up_to_there(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    rows = [{"prompt": str(number**9), "completion": "x"} for number in range(60_000)]
    packed = pack(json.dumps(rows, indent=1).encode())
    scan = scan_examples(write(tmp_path, packed[: len(packed) // 2]))
    assert len(scan.examples) > 1000
    [rejected] = scan.rejected
    assert rejected.line > scan.examples[-1].line
    assert "from here on it cannot be read" in rejected.reason


REFUSED = {
    "a column twice": ("prompt,completion,prompt\n", "the column 'prompt' twice"),
    "broken Parquet": (parquet(ROWS)[:-9], "is no whole Parquet file"),
    "Parquet of four bytes": (b"PAR1", "is no whole Parquet file"),
    "an Excel workbook": (
        b"PK\x03\x04\x14\0\x06\0",
        "is an Excel workbook or a ZIP archive: save the sheet as CSV",
    ),
    "a PDF": (b"%PDF-1.7\n", "is a PDF: give a file with one conversation"),
    "bzip2": (bz2.compress(CSV.encode()), "is compressed with bzip2: unpack it"),
    "xz": (lzma.compress(CSV.encode()), "is compressed with xz: unpack it"),
}


@pytest.mark.parametrize(("content", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_file_without_rows_to_speak_of_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told):
        scan_examples(write(tmp_path, content))


def test_a_folder_of_other_files_is_refused_with_what_to_give(tmp_path: Path) -> None:
    write(tmp_path, CSV, "rows.csv")
    with pytest.raises(DataError, match=r"folder without Parquet files .* give one of its files"):
        scan_examples(tmp_path)


def test_an_address_is_no_file() -> None:
    with pytest.raises(DataError, match="is an address: download the file"):
        scan_examples("https://example.com/rows.jsonl")


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)  # Without one, opening the pipe would wait.
    try:
        with pytest.raises(DataError, match="is a pipe, and has to be read more than once"):
            scan_examples(pipe)
    finally:
        os.close(writer)


def test_a_quote_that_is_never_closed_is_told_by_the_one_line_it_is_on(tmp_path: Path) -> None:
    [rejected] = scan_examples(write(tmp_path, CSV + '"8 £,GBP\n')).rejected
    assert rejected.reason.startswith(f"a double quote opened on line {rejected.line} is never closed")


def test_an_object_over_many_lines_is_told_how_to_write_it_on_one(tmp_path: Path) -> None:
    first = scan_examples(write(tmp_path, json.dumps(ROWS[0], indent=2))).rejected[0]
    assert first.line == 1
    assert "as `jq -c . FILE` writes those that go over many lines" in first.reason


def test_a_text_that_is_cut_is_told_with_the_place_where_it_begins(tmp_path: Path) -> None:
    [rejected] = scan_examples(write(tmp_path, '{"prompt": "2000 zl')).rejected
    assert rejected.reason.startswith("not JSON: Unterminated string at column 12;")


def test_a_table_of_one_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has one column only, 'prompt'"):
        scan_examples(write(tmp_path, "prompt\nx\n", "rows.csv"))


def test_a_folder_of_parquet_is_one_data_set(tmp_path: Path) -> None:
    write(tmp_path, parquet(ROWS[:1]), "train-00000-of-00002.parquet")
    write(tmp_path, parquet(ROWS[1:]), "train-00001-of-00002.parquet")
    scan = scan_examples(tmp_path)
    assert said(scan) == EXPECTED
    assert [example.line for example in scan.examples] == [1, 2, 3]


def test_a_folder_of_several_splits_is_refused(tmp_path: Path) -> None:
    write(tmp_path, parquet(ROWS), "train.parquet")
    write(tmp_path, parquet(ROWS), "test.parquet")
    with pytest.raises(DataError, match=r"holds test, train: give the file of one, such as .*test\.parquet"):
        scan_examples(tmp_path)


def test_the_hash_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    write(tmp_path, parquet(ROWS), "train.parquet")
    before = sha256_of_data(tmp_path)
    assert read_dataset(tmp_path).sha256 == before
    write(tmp_path, parquet(ROWS[:2]), "train.parquet")
    assert sha256_of_data(tmp_path) != before


def test_what_datasets_saved_is_read_and_fills_no_arguments_in(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_list(CALLS)
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=saved).save_to_disk(tmp_path / "train-only")
    datasets.DatasetDict(train=saved, test=saved).save_to_disk(tmp_path / "both")

    expected = [example.id for example in read_examples(write(tmp_path, jsonl(CALLS)))]
    for folder in ("one", "train-only", "both/test"):
        assert [example.id for example in read_examples(tmp_path / folder)] == expected
    with pytest.raises(DataError, match="holds the splits test, train: give the folder of one"):
        read_examples(tmp_path / "both")


@pytest.mark.parametrize("state", ["", "{}", "[]", '{"_data_files": 1}'])
def test_a_damaged_folder_of_datasets_is_told(tmp_path: Path, state: str) -> None:
    pytest.importorskip("datasets")
    write(tmp_path, state, "state.json")
    write(tmp_path, "{}", "dataset_info.json")
    with pytest.raises(DataError, match="is no whole folder of `datasets`"):
        read_examples(tmp_path)


def test_a_data_set_that_the_hub_does_not_give_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="cannot be had from the hub"):
        read_examples("hf:nobody/nothing")
