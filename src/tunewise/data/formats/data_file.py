"""The user's file as bytes and as lines of text, whatever it is compressed with and encoded in."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO, cast

from tunewise.data.row_problems import RowProblem
from tunewise.errors import DataError

_HEAD_BYTES = 1 << 16
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# The longer marks first: UTF-32's begins with UTF-16's.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PDF = b"%PDF-"
# What is often given in place of the file that was meant.
_OTHER_KINDS = (
    (b"PK\x03\x04", "is an Excel workbook or a ZIP archive: save the sheet as CSV, or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel or Word file: save the sheet as CSV"),
    (_PDF, "is a PDF: give a file with one conversation per line or row"),
    (b"\x89PNG", "is an image: give a file with one conversation per line or row"),
    (b"SQLite format 3\0", "is an SQLite database: export the table as CSV"),
    (b"ARROW1", "is an Arrow file: save it as Parquet"),
    (b"BZh91AY&SY", "is compressed with bzip2: unpack it, or compress it with gzip"),
    (b"\xfd7zXZ\0", "is compressed with xz: unpack it, or compress it with gzip"),
)
_MAGIC_BYTES = max(len(magic) for magic, _ in _OTHER_KINDS)
DAMAGE = (EOFError, zlib.error, OSError)
"""What reading bytes raises where a compressed file is cut or damaged."""


@dataclass(frozen=True)
class DataFile:
    """A file of examples, or the place where they are; nothing is read before it is asked for."""

    path: Path
    asked_encoding: str | None = None
    """What the user says its text is encoded in."""
    may_be_pdf: bool = False
    """Whether a PDF is welcome, as among documents."""

    @property
    def is_folder(self) -> bool:
        """Whether there are files in it."""
        try:
            return self.path.is_dir()
        except OSError:  # a path that no file system can hold, which `open` tells
            return False

    @cached_property
    def head(self) -> bytes:
        """The first bytes, decompressed, as far as they can be read; none of a folder."""
        if self.is_folder:
            return b""
        with self.open() as file:
            try:
                return file.read(_HEAD_BYTES)
            except DAMAGE:
                return b""

    @cached_property
    def encoding(self) -> str:
        """What was asked for, or else its own."""
        return self.asked_encoding or self.own_encoding

    @cached_property
    def own_encoding(self) -> str:
        """What the byte order mark says, or else UTF-8."""
        marked = (name for mark, name in _BYTE_ORDER_MARKS if self.head.startswith(mark))
        return next(marked, "utf-8")

    @cached_property
    def head_text(self) -> str:
        """The first characters, without byte order mark, leading blanks and bytes that are no text."""
        return self.head.decode(self.encoding, errors="ignore").removeprefix("\ufeff").lstrip()

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes, decompressed. Raises `DataError` where there is no such file, or none to be read."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise DataError(self.path, self._say_missing()) from None
        except IsADirectoryError:
            raise DataError(self.path, "is a folder: give the file itself") from None
        except OSError as error:
            raise DataError(self.path, f"cannot be read: {error.strerror or error}") from None
        except ValueError as error:  # a path that no file system can hold
            raise DataError(self.path, f"cannot be opened: {error}") from None
        with file:
            yield self._decompress(file)

    def _say_missing(self) -> str:
        if self.path.parts[:1] in (("http:",), ("https:",)):
            return "is an address: download the file, or say hf:ORG/NAME for a data set of the hub"
        return "there is no such file"

    def _decompress(self, file: IO[bytes]) -> BinaryIO:
        if not file.seekable():
            raise DataError(
                self.path, "is a pipe, and has to be read more than once: save it as a file first"
            )
        magic = file.read(_MAGIC_BYTES)
        file.seek(0)
        for other, what in _OTHER_KINDS:
            if magic.startswith(other) and not (other == _PDF and self.may_be_pdf):
                raise DataError(self.path, what)
        if magic.startswith(_GZIP):
            return cast(BinaryIO, gzip.open(file))
        if magic.startswith(_ZSTD):
            import pyarrow

            return cast(
                BinaryIO, io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(file), "zstd"))
            )
        return cast(BinaryIO, file)

    def lines(self, newline: str = "\n") -> Iterator[tuple[int, str | RowProblem]]:
        r"""Each line with its number, its end included; text that cannot be read stands as its problem.

        `newline` is what ends a line, as `open` takes it: "\n" alone, since strings may hold U+2028 and its
        kin, or "" for any of "\n", "\r" and "\r\n".
        """
        number = 0
        # Bytes that are no text come out as half surrogate pairs, so that reading goes on with the next line.
        wide = codecs.lookup(self.encoding).name.startswith(("utf-16", "utf-32"))
        errors = "surrogatepass" if wide else "surrogateescape"
        with self.open() as file, io.TextIOWrapper(file, self.encoding, errors, newline) as text:
            lines = iter(text)
            while True:
                number += 1
                try:
                    line = next(lines, None)
                except UnicodeError as error:
                    yield number, RowProblem(f"from here on it is not {self.encoding}: {error}")
                    return
                except DAMAGE as error:
                    yield (
                        number,
                        RowProblem(f"from here on it cannot be read ({error}): get or make the file anew"),
                    )
                    return
                if line is None:
                    return
                if number == 1:
                    line = line.removeprefix("\ufeff")
                yield number, line if line.isascii() else self._text(line)

    def _text(self, line: str) -> str | RowProblem:
        try:
            line.encode("utf-8")
        except UnicodeEncodeError as error:
            code, position = ord(line[error.start]), error.start + 1
            escaped = 0xDC80 <= code <= 0xDCFF
            what = f"byte 0x{code - 0xDC00:02x}" if escaped else f"half a surrogate pair (\\u{code:04x})"
            hint = "save the file as UTF-8, or name what it is in, such as --encoding latin-1"
            encoding = self.encoding.upper()
            return RowProblem(f"{what} at position {position} is not {encoding}: {hint}")
        return line
