"""Files that are there whole or not at all: written beside, flushed to disk, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp"
"""How the names of files and folders end that are not whole yet; a process that was killed leaves them."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the file takes the place of `path` when the block ends.

    A reader, or a crash, never sees half of it. If the block or the disk fails, the old file, if any, is
    untouched, and the exception goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` as `new_file` does. Raises OSError (a full disk, a read-only folder)."""
    with new_file(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write one indented JSON document; NaN and infinities are refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    """Write one JSON value per line."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A scratch folder beside `path` that takes its place when the block ends, and vanishes if that fails.

    Raises OSError (a full disk, a read-only folder, something in `path` already), with `path` untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
        # Some libraries write files that only their owner can read: give all what the folder has.
        mode = scratch.stat().st_mode & 0o666
        for file in (file for file in scratch.rglob("*") if file.is_file()):
            file.chmod(mode)
            with file.open("rb") as written:
                os.fsync(written.fileno())
        _sync_folder(scratch)
        scratch.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """Read one JSON document."""
    return json.loads(path.read_text("utf-8"))


def read_jsonl(path: Path) -> list[Any]:
    """Read one JSON value per line."""
    # Not splitlines(): JSON strings may hold U+2028 and its kin, which that would break at.
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def sha256_of_file(path: Path) -> str:
    """The file's SHA-256 as hexadecimal digits, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """One hash over the names and bytes of files, whatever their order and folder."""
    lines = sorted(f"{path.name} {sha256_of_file(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the platform lets a folder be flushed."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
