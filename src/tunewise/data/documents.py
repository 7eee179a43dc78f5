"""The texts that answers may come from: a folder or file of text, or JSONL with a `text` in each row."""

from __future__ import annotations

import json
from pathlib import Path

from tunewise.errors import DataError

_TEXT_SUFFIXES = {".txt", ".md", ".rst"}


def read_documents(path: Path) -> tuple[str, ...]:
    """Every document under `path`, in the order of the file or of the file names.

    Raises `DataError` where there is none or one cannot be read.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _TEXT_SUFFIXES)
        documents = tuple(_read_text(file) for file in files)
    elif path.suffix.lower() == ".jsonl":
        documents = _read_rows(path)
    else:
        documents = (_read_text(path),)
    if not documents:
        raise DataError(path, 'holds no documents: give text files, or JSONL with a "text" in each row')
    return documents


def _read_rows(path: Path) -> tuple[str, ...]:
    documents: list[str] = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(path, f"not JSON: {error}", line=number) from None
        text = row.get("text") if isinstance(row, dict) else None
        if not isinstance(text, str):
            raise DataError(path, 'no document here: give {"text": "..."} in each row', line=number)
        documents.append(text)
    return tuple(documents)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise DataError(path, "there is no such file") from None
    except UnicodeDecodeError:
        raise DataError(path, "is no UTF-8 text: save it as such") from None
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror or error}") from None
