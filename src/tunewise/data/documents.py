"""Documents in: text, Markdown, HTML, PDF and JSONL, alone or in a folder, as texts that know their place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunewise.data.document_formats import COMPRESSED, READERS, kind_of, read_parts
from tunewise.errors import DataError


@dataclass(frozen=True, slots=True)
class Document:
    """A text that stands for itself: a text or HTML file, a page of a PDF file, a row of a JSONL file."""

    text: str
    source: str
    """For readers: its file, below the folder that was read, and its place there: `guide.pdf, page 3`."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What a file or folder holds."""

    documents: tuple[Document, ...]
    """In the order of their files' paths, and in each as they stand there."""
    left_out: tuple[str, ...]
    """Files of other kinds, files and pages without any text, and links to folders."""

    @property
    def texts(self) -> tuple[str, ...]:
        """One for each document."""
        return tuple(document.text for document in self.documents)

    def describe(self, num_named: int = 5) -> str:
        """One line for the terminal."""
        described = f"{len(self.documents)} documents"
        if self.left_out:
            more = ", ..." if len(self.left_out) > num_named else ""
            named = ", ".join(self.left_out[:num_named]) + more
            described += f"; left out, as they are no documents or empty: {len(self.left_out)} ({named})"
        return described


def read_documents(path: Path, encoding: str | None = None) -> Documents:
    """All documents of a file, or of the files in a folder and below; hidden ones do not count.

    Text is UTF-8, or what its byte order mark says, or else in `encoding`; of HTML, what the page itself
    declares. Files may be compressed (.gz, .zst). Raises `DataError` where there is no document, and for a
    file that ought to be one and cannot be read: it is never just left out.
    """
    found, left_out = [], []
    for file in _files_of(path):
        name = str(file.relative_to(path)) if file != path else file.name
        if not _is_document(file):
            left_out.append(name)
            continue
        parts = [(f"{name}, {place}" if place else name, text) for place, text in read_parts(file, encoding)]
        found += [Document(text, source) for source, text in parts if text.strip()]
        left_out += [source for source, text in parts if not text.strip()]
    if not found:
        raise DataError(path, f"holds no documents: give files with text that end with {_endings()}")
    return Documents(tuple(found), tuple(left_out))


def _files_of(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return sorted(file for file in _walk(path) if not _is_hidden(file, path))
        exists = path.exists()
    except (OSError, ValueError) as error:  # No right to look, or a name that no file system can hold.
        raise DataError(path, f"cannot be read: {error}") from None
    if not exists:
        raise DataError(path, "there is no such file or folder")
    if not _is_document(path):
        raise DataError(path, f"is no document that can be read: give one that ends with {_endings()}")
    return [path]


def _walk(path: Path) -> Iterator[Path]:
    """Files in the folder and below, and links to folders, which are not followed, as they may go round."""
    # Not rglob(), which passes over folders that may not be looked into.
    for folder, folders, names in os.walk(path, onerror=_raise):
        yield from (Path(folder, name) for name in names)
        yield from (link for name in folders if (link := Path(folder, name)).is_symlink())


def _raise(error: OSError) -> None:
    raise error


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _is_document(file: Path) -> bool:
    return kind_of(file) in READERS and not file.is_dir()


def _endings() -> str:
    return f"{', '.join(READERS)}, also with {' or '.join(COMPRESSED)} behind it"
