"""Characters that nobody meant to write: what copying, exporting and decoding leave behind."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from html.entities import html5

import ftfy
from ftfy.badness import is_bad

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.passages import Locator, PassageCheck, Span, shorten
from tunewise.records import Example

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# Not tab, line feed and carriage return. Cf is mostly invisible: soft hyphen, zero width, direction, tags.
_CONTROL = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0001\U000e0020-\U000e007f]"
)
_NON_JOINER, _JOINER = "\u200c", "\u200d"
_VARIATION = "\ufe0f"
_BLACK_FLAG = "\U0001f3f4"
# What text with right-to-left letters needs beside digits and Latin words.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_REPLACEMENT = "\ufffd"
# A lead byte and a continuation byte of UTF-8, as the single-byte encodings show them: a letter or sign and,
# right behind it, a sign that hardly ever follows one. ftfy's rules look closer, and take ten times as long.
_TWO_BYTES = re.compile(
    "[^\x00-\x7f][\x80-\xbf\u0152-\u0192\u02c6\u02dc\u2010-\u203a\u20ac\u2122\u0402-\u040f\u0452-\u045f]"
    "|[ÃÂÐÑâ] |[√├┬Γ╨╤]"
)


class StraySpace:
    """White space around a turn."""

    code = "stray-space"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "spaces or line breaks before or after the text of a turn"
    why = "The model learns to write them too, and most tokenizers split the words beside them differently."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """One problem with every line that has any."""
        found = [example for example in data.examples if any(map(_has_stray_space, _contents(example)))]
        if found:
            text = next(filter(_has_stray_space, _contents(found[0])))
            ends = "begins" if text[0].isspace() else "ends"
            yield Problem(
                self.code,
                self.severity,
                tuple(example.line for example in found),
                f"line {found[0].line} has a turn that {ends} with white space: strip it",
                shorten(repr(text)),
            )


class HtmlEntities(PassageCheck):
    """Text that was escaped for a web page and never unescaped. HTML and code that is meant stays."""

    code = "html-entity"
    severity: Severity = "warning"
    finds = "HTML entities such as `&amp;` in text that is no HTML"
    why = "The model reads and learns to write the escapes instead of the characters that people see."
    advice = "holds HTML entities: decode them"

    def locators(self, block: str) -> Sequence[Locator]:
        """Most text holds no ampersand."""
        return [_locate_entity] if "&" in block and _ENTITY.search(block) else []


class Mojibake(PassageCheck):
    """UTF-8 that was read as something else, by the rules of ftfy, or characters that decoding lost."""

    code = "mojibake"
    severity: Severity = "warning"
    finds = "wrongly decoded text, such as `cafÃ©` for `café`, and replacement characters"
    why = "The words are no words to a tokenizer, and the model learns to write them so."
    advice = "holds wrongly decoded text: mend it, or read the file in its true encoding"

    def locators(self, block: str) -> Sequence[Locator]:
        """ASCII has none, and whether a text is ASCII is known without reading it."""
        if block.isascii():
            return []
        return [_locate_mojibake] if _REPLACEMENT in block or _TWO_BYTES.search(block) else []


class ControlCharacters(PassageCheck):
    """Characters that nobody sees. Those that emoji and the scripts of Asia need are left alone."""

    code = "control-character"
    severity: Severity = "warning"
    finds = "control, zero-width and direction characters that the text does not need"
    why = (
        "They look like nothing and change every token around them, so equal texts are learned as different."
    )
    advice = "holds an invisible character: remove it"

    def locators(self, block: str) -> Sequence[Locator]:
        """Most blocks have none at all."""
        return [_locate_control] if _CONTROL.search(block) else []

    def show(self, text: str, span: Span) -> str:
        """With the invisible one spelled out."""
        start, end = max(0, span[0] - 30), span[1] + 30
        return text[start:end].encode("unicode_escape").decode() if text.isascii() else repr(text[start:end])


def _locate_entity(text: str) -> Span | None:
    """One that stands for a character, unless the text is HTML or shows code."""
    if "</" in text or "```" in text:
        return None
    for match in _ENTITY.finditer(text):
        if match[0][1] == "#" or match[0][1:] in html5:
            return match.span()
    return None


def _locate_mojibake(text: str) -> Span | None:
    """The first character that mending would change, or one that is lost."""
    if text.isascii():
        return None
    lost = text.find(_REPLACEMENT)
    if lost >= 0:
        return lost, lost + 1
    if not _TWO_BYTES.search(text) or not is_bad(text):
        return None
    mended = ftfy.fix_encoding(text)
    if mended == text:
        return None
    start = next((i for i, (a, b) in enumerate(zip(text, mended, strict=False)) if a != b), len(mended))
    return start, start + 1


def _locate_control(text: str) -> Span | None:
    """One that does no work."""
    for match in _CONTROL.finditer(text):
        if not _is_needed(text, match.start()):
            return match.span()
    return None


def _is_needed(text: str, at: int) -> bool:
    """Whether the invisible character joins letters or emoji, or turns the direction of mixed text."""
    character = text[at]
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if character in (_NON_JOINER, _JOINER):
        if before == _VARIATION or _is_symbol(before):
            return character == _JOINER and _is_symbol(after)
        return _is_joining_letter(before) and (not after or _is_joining_letter(after) or not after.isalnum())
    if _DIRECTION.match(character):
        return _RIGHT_TO_LEFT.search(text) is not None
    # Flags of regions, such as Scotland's, are a black flag and tags.
    return "\U000e0020" <= character <= "\U000e007f" and _BLACK_FLAG in text[max(0, at - 7) : at]


def _is_symbol(character: str) -> bool:
    return character != "" and unicodedata.category(character) in ("So", "Sk")


def _is_joining_letter(character: str) -> bool:
    """A letter or mark beyond Latin, Greek and Cyrillic: Arabic, Indic and other scripts that join."""
    return character > "\u05ff" and unicodedata.category(character)[0] in "LM"


def _contents(example: Example) -> Iterator[str]:
    return (message.content for message in example.messages if message.role != "tool")


def _has_stray_space(text: str) -> bool:
    return text != "" and (text[0].isspace() or text[-1].isspace())
