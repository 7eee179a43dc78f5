"""How a short answer is written: `£1,234.50` is `¤N`, `Edge 110` is `Aa N`, `2015-07-29` is `9999-99-99`."""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 40
MAX_SPACES = 3

_PIECE = re.compile(
    r"[<>≤≥~]?(?P<date>\d{1,4}([-/.])\d{1,2}\2\d{1,4}(?!\d))"
    r"|(?P<time>\d{1,2}:\d{2}(?::\d{2})?(?!\d))"
    r"|(?P<number>(?:(?<![\w)])[-+±<>≤≥~])?\d+(?:[.,' ]\d{3})*(?:[.,]\d+)?)"
    r"|(?P<word>[^\W\d_]+)"
)
_DIGIT = re.compile(r"\d")


def shape_of(text: str) -> str | None:
    """Numbers as `N`, dates and times digit by digit, words by their case, currency signs as `¤`.

    None for what is too long to have a shape.
    """
    text = text.strip()
    if len(text) > MAX_CHARACTERS or text.count(" ") > MAX_SPACES or "\n" in text:
        return None
    shape = _PIECE.sub(_write_piece, text)
    if shape.isascii():
        return shape
    return "".join("¤" if unicodedata.category(c) == "Sc" else c for c in shape).replace("$", "¤")


def is_date(text: str) -> bool:
    """Whether the whole text is three numbers with the same `-`, `/` or `.` between them."""
    piece = _PIECE.fullmatch(text)
    return piece is not None and piece.lastgroup == "date"


def _write_piece(match: re.Match[str]) -> str:
    piece = match[0]
    if match.lastgroup == "word":
        if piece.islower():
            return "a"
        if piece.isupper():
            return "A" if len(piece) > 1 else "Aa"
        return "Aa" if piece[0].isupper() else "aA"
    return "N" if match.lastgroup == "number" else _DIGIT.sub("9", match["date"] or piece)
