"""What a file of documents says: one function for each kind of file, chosen by how its name ends."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.data.formats.data_file import DAMAGE, DataFile
from tunewise.data.row_problems import show
from tunewise.data.strict_json import STRICT_JSON
from tunewise.errors import DataError

if TYPE_CHECKING:
    from justhtml import Node

COMPRESSED = (".gz", ".zst")
"""What may follow the endings."""

_UNSEEN = "script, style, template, noscript, [hidden]"
_HEADINGS = "h1, h2, h3, h4, h5, h6"
_BLANK_LINES = re.compile(r"\n\s*\n")

Part = tuple[str, str]
"""A place in the file, or "" for all of it, and the text there."""


def kind_of(path: Path) -> str:
    """How its name ends, in small letters, without what it is compressed with."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSED), "")


def read_parts(path: Path, encoding: str | None = None) -> list[Part]:
    """The file's texts, empty ones among them, without halves of surrogate pairs. Raises `DataError`.

    `encoding` is that of text which is not UTF-8 and has no byte order mark.
    """
    file = DataFile(path, encoding, may_be_pdf=True)
    with file.open() as stream:
        try:
            content = stream.read()
        except DAMAGE as error:
            raise DataError(path, f"cannot be read ({error}): get or make the file anew") from None
    return [(place, _mend_surrogates(text)) for place, text in READERS[kind_of(path)](file, content)]


def _mend_surrogates(text: str) -> str:
    """Pairs as their character, and halves, which no encoding can write, as U+FFFD: browsers do the same."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_text(file: DataFile, content: bytes) -> Iterator[Part]:
    yield "", _decode(file, content)


def _read_rows(file: DataFile, content: bytes) -> Iterator[Part]:
    # Not splitlines(): JSON strings may hold U+2028 and its kin, which that would break at.
    for number, line in enumerate(_decode(file, content).split("\n"), start=1):
        if line.strip():
            yield f"line {number}", _read_row(file.path, number, line.strip())


def _read_row(path: Path, number: int, line: str) -> str:
    try:
        row = STRICT_JSON.decode(line)
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"not JSON: {error}", line=number) from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise DataError(path, f'has {show(text)} as "text": give {{"text": "..."}}', line=number)
    return text


def _read_html(file: DataFile, content: bytes) -> Iterator[Part]:
    """What a browser would show, with headings as Markdown has them and rows of tables as lines."""
    from justhtml import JustHTML

    page = JustHTML(content, sanitize=False)
    needs_scripts = page.query_one("script") is not None
    for unseen in page.query(_UNSEEN):
        if unseen.parent is not None:
            unseen.parent.remove_child(unseen)
    for heading in page.query(_HEADINGS):
        _set_text(heading, f"{'#' * int(heading.name[1])} {_line_of(heading)}")
    for row in page.query("tr"):
        # Rows around other rows or headings lay the page out, and hold no data.
        if row.query_one(f"tr, {_HEADINGS}") is None:
            cells = [cell for cell in row.children or () if cell.name in ("th", "td")]
            _set_text(row, " | ".join(map(_line_of, cells)))
    body = page.query_one("body")
    text = body.to_text(separator="\n\n", strip=False, separator_blocks_only=True) if body else ""
    if needs_scripts and not text.strip():
        raise DataError(file.path, "shows no text until its scripts run: save it as a browser shows it")
    yield "", _BLANK_LINES.sub("\n\n", text).strip()


def _line_of(node: Node) -> str:
    return " ".join(node.to_text(separator=" ", strip=False, separator_blocks_only=True).split())


def _set_text(node: Node, text: str) -> None:
    from justhtml import Text

    for child in list(node.children or ()):
        node.remove_child(child)
    node.append_child(Text(text))


def _read_pdf(file: DataFile, content: bytes) -> Iterator[Part]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # It warns of each flaw that it can cope with.
    try:
        pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    except (DependencyError, FileNotDecryptedError):
        raise DataError(file.path, "is encrypted: save a copy without a password") from None
    except Exception as error:  # Of damaged files, the library says, anything may come.
        raise DataError(file.path, f"is no PDF that can be read ({error}): save it anew") from None
    if not any(page.strip() for page in pages):
        raise DataError(file.path, "holds no text, only pictures of it: have it recognised (OCR)")
    yield from ((f"page {number}", page) for number, page in enumerate(pages, start=1))


def _decode(file: DataFile, content: bytes) -> str:
    # What was asked for comes last: of a folder, it may be said for the sake of a single file.
    tried = dict.fromkeys((file.own_encoding, file.encoding))
    for encoding in tried:
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
    names = " nor ".join(encoding.upper() for encoding in tried)
    hint = "save it as UTF-8, or name what it is in, such as --encoding latin-1"
    raise DataError(file.path, f"is not {names}: {hint}")


READERS: dict[str, Callable[[DataFile, bytes], Iterator[Part]]] = {
    ".txt": _read_text,
    ".md": _read_text,
    ".markdown": _read_text,
    ".rst": _read_text,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
    ".jsonl": _read_rows,
    ".ndjson": _read_rows,
}
"""By the ending of the file's name."""
