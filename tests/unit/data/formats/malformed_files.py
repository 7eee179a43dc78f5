"""A seeded corpus of files that are damaged in all the ways that files get damaged."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    {
        "messages": [
            {"role": "system", "content": "Which currency?"},
            {"role": "user", "content": f"{number} zł"},
            {"role": "assistant", "content": "PLN"},
        ]
    }
    for number in range(8)
]
PAIRS = [{"prompt": f"{number} £", "completion": "GBP"} for number in range(8)]


def _jsonl() -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def _json() -> bytes:
    return json.dumps(ROWS, ensure_ascii=False, indent=1).encode()


def _csv() -> bytes:
    return ("prompt,completion\n" + "\n".join(f'"{number} £",GBP' for number in range(8))).encode()


def _zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def _parquet(rows: list[dict[str, object]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


WHOLE: dict[str, Callable[[], bytes]] = {
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "tsv": lambda: _csv().replace(b",", b"\t"),
    "jsonl.gz": lambda: gzip.compress(_jsonl(), mtime=0),
    "jsonl.zst": lambda: _zstd(_jsonl()),
    "csv.gz": lambda: gzip.compress(_csv(), mtime=0),
    "json.zst": lambda: _zstd(_json()),
    "utf16.jsonl": lambda: _jsonl().decode().encode("utf-16"),
    "utf32.json": lambda: _json().decode().encode("utf-32"),
    "utf16.csv": lambda: _csv().decode().encode("utf-16"),
    "latin1.csv": lambda: _csv().decode().encode("latin-1"),
    "parquet": lambda: _parquet(PAIRS),
    "chat.parquet": lambda: _parquet(ROWS),
    "parquet.gz": lambda: gzip.compress(_parquet(PAIRS), mtime=0),
}


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(1, len(data))]


def _flip(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        damaged[dice.randrange(len(damaged))] = dice.randrange(256)
    return bytes(damaged)


def _drop(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.randrange(1, 20) :]


def _insert(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data))
    inserted = dice.choice(
        [b"\0", b"\xff\xfe", b'"', b"\n", b"\r", b"[", b"}", b"\x1a", b"\xed\xa0\x80", b"\\u"]
    )
    return data[:place] + inserted + data[place:]


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut": _cut,
    "flipped": _flip,
    "dropped": _drop,
    "inserted": _insert,
}

_ROW = json.dumps(ROWS[0])
BY_HAND: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\r\n\t",
    "byte order mark alone": b"\xef\xbb\xbf",
    "UTF-16 mark alone": b"\xff\xfe",
    "NUL bytes": bytes(1000),
    "binary": bytes(range(256)) * 4,
    "gzip of nothing": gzip.compress(b""),
    "gzip's mark alone": b"\x1f\x8b",
    "zstd's mark alone": b"\x28\xb5\x2f\xfd",
    "Parquet's mark alone": b"PAR1PAR1",
    "gzip in gzip": gzip.compress(gzip.compress(_ROW.encode())),
    "Parquet without rows": _parquet(PAIRS[:1])[:4] + b"\0" * 40 + b"PAR1",
    "Parquet of a number": _parquet([{"a": 1}]),
    "nested arrays": b"[" * 200_000,
    "nested objects": b'{"messages":' * 100_000,
    "nested in an array": b"[" + b'{"a":' * 100_000,
    "nested arguments": _ROW.replace('"zloty"', "[" * 2000).encode(),
    "giant line": b'{"messages": "' + b"x" * 3_000_000,
    "giant field": b'prompt,completion\n"' + b"x" * 3_000_000,
    "giant number": b'{"messages": ' + b"9" * 100_000 + b"}",
    "giant number in an array": b'[{"messages": ' + b"9" * 100_000 + b"}]",
    "NaN": b'{"messages": NaN}',
    "NaN in an array": b'[{"messages": NaN}]',
    "repeated keys": b'{"messages": [], "messages": []}',
    "repeated keys in an array": b'[{"messages": [], "messages": []}]',
    "half a surrogate pair": _ROW.replace("zloty", "\\ud800").encode(),
    "half a surrogate pair in UTF-16": b"\xff\xfe" + "{".encode("utf-16-le") + b"\x00\xd8",
    "half a character of UTF-16": b"\xff\xfe{",
    "UTF-16 without mark": _ROW.encode("utf-16-le"),
    "HTML": b"<!doctype html><html><body>Not found</body></html>",
    "header alone": b"prompt,completion",
    "header without its end": b'"prompt,completion',
    "columns twice": b"prompt,prompt\na,b",
    "empty columns": b",,,\n,,,\n",
    "old line ends of Macs": b"prompt,completion\ra,b\rc,d",
    "array of arrays": b"[[1], [2]]",
    "array of nothing": b"[]",
    "number": b"7",
    "text": b"Dear Sir or Madam,\nI write to you\n",
    "conversations of one who never ends": b'{"conversations": [{"from": "gpt"',
} | {
    f"{field} is {value}": f"{_ROW}\n{{{json.dumps(field)}: {value}}}".encode()
    for field in ("messages", "conversations", "prompt", "chosen", "preferred_output", "instruction", "input")
    for value in ("null", "1", "true", '""', "[]", "{}", "[null]", "[[]]", '[{"role": {}}]', '[{"from": []}]')
}  # fmt: skip


def malformed_files(per_kind: int = 4) -> Iterator[tuple[str, bytes]]:
    """Name and content of each; the same ones every time."""
    yield from BY_HAND.items()
    for kind, whole in WHOLE.items():
        for damage, apply in DAMAGE.items():
            dice = random.Random(f"{kind} {damage}")
            for number in range(per_kind):
                yield f"{kind}, {damage} {number}", apply(whole(), dice)
