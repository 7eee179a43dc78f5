"""Documents in: a file or folder of text, Markdown or JSONL becomes texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tunewise.data.row_problems import show
from tunewise.data.strict_json import STRICT_JSON
from tunewise.errors import DataError

TEXT_SUFFIXES = (".txt", ".md", ".markdown", ".rst")
ROW_SUFFIXES = (".jsonl", ".ndjson")
_SUFFIXES = ", ".join((*TEXT_SUFFIXES, *ROW_SUFFIXES))


def read_documents(path: Path) -> tuple[str, ...]:
    """The text of each document: a text or Markdown file is one, a JSONL file holds one per line in "text".

    Of a folder, all such files in it and below, ordered by path; its other files are left out. Raises
    `DataError` where nothing can be read, and for a line that holds no text.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if _is_document(file))
            if not files:
                raise DataError(path, f"holds no documents: files are read that end with {_SUFFIXES}")
        elif not path.exists():
            raise DataError(path, "there is no such file or folder")
        elif not _is_document(path):
            raise DataError(path, f"is no document that can be read: give one that ends with {_SUFFIXES}")
        else:
            files = [path]
        return tuple(text for file in files for text in _read_file(file))
    except OSError as error:
        raise DataError(error.filename or path, f"cannot be read: {error.strerror or error}") from None


def _is_document(path: Path) -> bool:
    return path.suffix.lower() in (*TEXT_SUFFIXES, *ROW_SUFFIXES) and path.is_file()


def _read_file(file: Path) -> Iterator[str]:
    try:
        content = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(file, "is not UTF-8: save it as such") from None
    if file.suffix.lower() in TEXT_SUFFIXES:
        if content.strip():
            yield content
        return
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield _read_row(file, number, line)


def _read_row(file: Path, number: int, line: str) -> str:
    try:
        row = STRICT_JSON.decode(line.strip())
    except (ValueError, RecursionError) as error:
        raise DataError(file, f"not JSON: {error}", line=number) from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise DataError(file, f'has {show(text)} as "text": give {{"text": "..."}}', line=number)
    return text
