"""What `--fix` mends: every code that has a fix, and the fix. None of them needs a guess.

A fix takes the text of one turn and gives it back mended, or as it is wherever somebody could have meant it.
It only ever shortens a text, so fixes can be repeated until nothing changes, and a fixed row stays as it is.
What tools returned is never touched: it is a record of what a program said.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from html.entities import html5
from types import MappingProxyType
from typing import Any

from tunewise.data.strict_json import STRICT_JSON

DUPLICATE = "exact-duplicate"

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TAG = re.compile(r"<[A-Za-z/!?]")
_CODE = re.compile(r"[`{}\\]|\w\(|=>|->|::|&&")
_MISREAD_AS = ("latin-1", "iso-8859-", "sloppy-windows-125")
_MARKUP_WORDS = ("html", "xml", "entit", "escap", "markup")
_ENCODING_WORDS = ("mojibake", "encod", "utf-8", "utf8", "unicode", "charset", "garbled")
_INDENTED_LINE = re.compile(r"\n[ \t]+\S")


def remove_byte_order_mark(text: str) -> str:
    """Without the mark that a file began with once, which reading it in pieces left in a text."""
    return text.removeprefix("\ufeff")


def undo_mojibake(text: str) -> str:
    """UTF-8 that was read as another encoding, read aright: `cafÃ©` is `café`.

    Only where the whole text went that way, through an encoding of Windows or the web. Where ftfy would fill
    in a lost byte, or mend the parts that look wrong and leave the others, it would guess; and what old Macs
    and DOS made of text looks like mathematics.
    """
    if text.isascii():
        return text
    import ftfy

    mended, steps = ftfy.fix_encoding_and_explain(text)
    certain = steps is not None and all(
        step.action == "decode" or (step.action == "encode" and step.parameter.startswith(_MISREAD_AS))
        for step in steps
    )
    return mended if certain else text


def unescape_entities(text: str) -> str:
    """`AT&amp;T` as `AT&T`; inside JSON, the strings that it holds.

    Left as they are: code and markup, text that becomes markup, an entity that is all there is (it may be
    what was asked for), and what would be an entity again, or nothing that can be seen.
    """
    if "&" not in text or ";" not in text:
        return text
    try:
        value = _read_json(text)
        if not all(_has_entities_in_prose(string) for string in _strings(text if value is None else value)):
            return text
        mended = _unescape(text)
        # A quotation mark would end the string that it stands in.
        kept_its_form = value is None or _read_json(mended) == _map_strings(value, _unescape)
    except RecursionError:  # JSON that is nested very deeply.
        return text
    return mended if kept_its_form else text


def has_indented_lines(text: str) -> bool:
    """Whether a line after the first begins with blanks, as in code and YAML, where they say something."""
    return _INDENTED_LINE.search(text) is not None


def strip_turn(text: str) -> str:
    """Without blanks around it. The indentation of a first line stays where other lines are indented too."""
    end = text.rstrip()
    stripped = end.lstrip()
    if not has_indented_lines(stripped):
        return stripped
    blank_lines_end = end.rfind("\n", 0, len(end) - len(stripped)) + 1
    return end[blank_lines_end:]


TEXT_FIXES: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "control-character": remove_byte_order_mark,
        "mojibake": undo_mojibake,
        "html-entity": unescape_entities,
        "stray-space": strip_turn,
    }
)
"""In the order in which they are applied."""

FIXABLE_CODES = (*TEXT_FIXES, DUPLICATE)
"""Everything that `--fix` mends, all of it or in part: of exact duplicates, it keeps the first."""


@dataclass(frozen=True, slots=True)
class TurnChange:
    """What one fix made of one turn."""

    code: str
    where: str
    """As error messages name it: `messages[2]`."""
    before: str
    after: str


def fix_turns(row: dict[str, Any], codes: Collection[str]) -> tuple[dict[str, Any], tuple[TurnChange, ...]]:
    """A chat row with its texts mended, and every change; the row itself where there is none.

    `codes` are the fixes to apply. The row has to be one that `parse_conversation` takes.
    """
    turns = row["messages"]
    fixes = {code: fix for code, fix in TEXT_FIXES.items() if code in codes}
    said = "\n".join(turn["content"] for turn in turns if isinstance(turn.get("content"), str))
    if "&" in said and (_mentions(said, _MARKUP_WORDS) or _TAG.search(said)):
        fixes.pop("html-entity", None)
    if not said.isascii() and _mentions(said, _ENCODING_WORDS):
        fixes.pop("mojibake", None)
    changes: list[TurnChange] = []
    mended_turns: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        mended, made = _fix_turn(turn, f"messages[{index}]", fixes)
        mended_turns.append(mended)
        changes += made
    return (row | {"messages": mended_turns} if changes else row), tuple(changes)


def _fix_turn(
    turn: dict[str, Any], where: str, fixes: Mapping[str, Callable[[str], str]]
) -> tuple[dict[str, Any], list[TurnChange]]:
    text = turn.get("content")
    if not isinstance(text, str) or turn["role"] == "tool":
        return turn, []
    may_be_empty = bool(turn.get("tool_calls"))
    changes: list[TurnChange] = []
    looked_at = None
    while text != looked_at:
        looked_at = text
        for code, fix in fixes.items():
            mended = fix(text)
            if mended != text and (mended.strip() or may_be_empty):
                changes.append(TurnChange(code, where, text, mended))
                text = mended
    return (turn | {"content": text} if changes else turn), changes


def _mentions(text: str, words: tuple[str, ...]) -> bool:
    """Whether what looks like a defect may be what the conversation is about."""
    lower = text.lower()
    return any(word in lower for word in words)


def _has_entities_in_prose(text: str) -> bool:
    """If it has any: not in code or markup, and not as all that there is."""
    entities = [entity for entity in _ENTITY.findall(text) if _is_entity(entity)]
    if not entities:
        return True
    if _CODE.search(text) or text.strip() in entities:
        return False
    mended = _unescape(text)
    visible = all(_is_visible(html.unescape(entity)) for entity in entities)
    return visible and not _TAG.search(mended) and _unescape(mended) == mended


def _is_visible(characters: str) -> bool:
    return all(
        character in "\n\t\N{NO-BREAK SPACE}" or unicodedata.category(character)[0] in "LMNPS"
        for character in characters.replace("\ufffd", "\0")
    )


def _unescape(text: str) -> str:
    # Not html.unescape on the whole: it takes the "&copy" of "?a=1&copy=2" for an entity.
    return _ENTITY.sub(lambda match: html.unescape(match[0]) if _is_entity(match[0]) else match[0], text)


def _is_entity(text: str) -> bool:
    """Not `&notit;`, of which html.unescape would take a part."""
    return text[1] == "#" or text[1:] in html5


def _read_json(text: str) -> Any:
    """The value that the text is the JSON of; None where it is none, or null."""
    try:
        return STRICT_JSON.decode(text.strip())
    except ValueError:
        return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _map_strings(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map_strings(inner, change) for inner in value]
    return value
