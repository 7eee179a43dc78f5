"""What an answer says: the JSON, the number or the words in it, whatever stands around them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tunewise.data.strict_json import STRICT_JSON

Json = dict[str, Any] | list[Any]
Path = tuple[str | int, ...]

_FENCE = re.compile(r"```[^\n`]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_NUMBER = (
    r"(?<!\d[.,])(?:"
    r"\d+(?:[.,]\d+)?[eE][-+−]?\d{1,3}(?!\w)|"
    r"\d{1,3}(?:[ '’\u00a0\u202f]\d{3})+(?!\d)(?:[.,]\d+)?"
    r"|\d{1,3}(?:\.\d{3})+(?:,\d+)?"
    r"|\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?"  # 12,34,567 in India
    r"|\d+(?:[.,]\d+)?"
    r")(?!\d|[.,]\d)"
    r"|\d+"  # a piece of a date or a version
)
_THINKING = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_CURRENCY = "[$¢-¥฿\u20a0-\u20cf]"
_SIGNED = re.compile(rf"(?:(?<![\w)])(?P<sign>[-+−–])(?:(?P<currency>{_CURRENCY}) ?)?)?(?P<number>{_NUMBER})")
_ACCOUNTED = re.compile(rf"\s*{_CURRENCY}?\({_CURRENCY}?(?P<number>{_NUMBER}){_CURRENCY}?\)\s*")
_UNIT = re.compile(
    rf"{_SIGNED.pattern}"
    r"|[\u3040-\u30ff\u3400-\u9fff]"  # scripts without spaces: each character is a word
    r"|[^\W\d_]+(?:[#+]+(?![\w#+]))?"  # C# and C++ are no C
    r"|[^\w\s]"
)
_GAPS = re.compile(r"[ '’\u00a0\u202f]")
_SEPARATORS = re.compile(r"[.,]")
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}")


def strip_fence(text: str) -> str:
    """The text without the white space and the one Markdown fence around it."""
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    return fenced[1].strip() if fenced else stripped


def strip_thinking(answer: str, expected: str) -> str:
    """The answer without the <think>...</think> that it begins with, unless the expected one has one too."""
    thinking = _THINKING.match(answer)
    return answer if thinking is None or "<think>" in expected else answer[thinking.end() :]


def list_fenced(text: str) -> list[str]:
    """What stands in its Markdown fences."""
    return [inner.strip() for inner in _FENCE.findall(text)]


def find_json(text: str, wanted: Json) -> Json | None:
    """The first object in it where `wanted` is one, or the first array; else the first of the other kind.

    So prose around it costs nothing (the `form` metric sees it), nor does the [1] of a source. What stands
    inside another object or array is not found, be that cut or malformed. None where there is none, or where
    it repeats a key or holds NaN.
    """
    inner = strip_fence(text)
    other: Json | None = None
    start = 0
    while (opening := _OPENING.search(inner, start)) is not None:
        try:
            value, start = STRICT_JSON.raw_decode(inner, opening.start())
        except json.JSONDecodeError as error:
            is_prose = not inner[opening.end() : error.pos].strip()
            start = opening.end() if is_prose else _find_close(inner, opening.start())
            continue
        except (ValueError, RecursionError):
            return None  # JSON that means two things: no part of it is the answer
        if isinstance(value, type(wanted)):
            return value
        other = value if other is None else other
    return other


def _find_close(text: str, start: int) -> int:
    """Where the bracket at `start` is closed; the end of the text where it never is."""
    depth = 0
    for token in _JSON_TOKEN.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    return len(text)


def list_leaves(value: Json) -> Iterator[tuple[Path, Any]]:
    """Every field that holds no further fields, with its path; empty objects and lists are such fields.

    Without recursion, because an answer may be nested as deeply as its parser allows.
    """
    open_fields: list[tuple[Path, Any]] = [((), value)]
    while open_fields:
        path, field = open_fields.pop()
        if isinstance(field, dict) and field:
            open_fields.extend(((*path, key), inner) for key, inner in field.items())
        elif isinstance(field, list) and field:
            open_fields.extend(((*path, index), inner) for index, inner in enumerate(field))
        else:
            yield path, field


def find_number(text: str) -> Decimal | None:
    """The last number in it, as conclusions come last; None where there is none.

    1,299.50, 1.299,50 and 1 299.50 are one number. A single comma before three digits parts thousands. The
    sign may stand before a currency's, and a text that is nothing but (5) is the -5 of accountants.
    """
    if (accounted := _ACCOUNTED.fullmatch(text)) is not None:
        return _decimal(accounted["number"]).copy_negate()
    found = list(_SIGNED.finditer(text))
    return _signed(found[-1]) if found else None


def is_number(text: str) -> bool:
    """Whether it is one number and nothing but signs beside it, such as those of a currency or per cent."""
    found = list(_SIGNED.finditer(text))
    return len(found) == 1 and not any(c.isalnum() for c in _SIGNED.sub("", text))


def list_units(text: str) -> list[str]:
    """Words without their case, numbers without their separators, and symbols; no punctuation.

    1,234.50 and 1234.5 are one unit; 11.2.2024 is three, -$5 is $ and -5.
    """
    return [name for unit in _UNIT.finditer(unicodedata.normalize("NFKC", text)) for name in _name_unit(unit)]


def _name_unit(unit: re.Match[str]) -> Iterator[str]:
    if unit["number"] is None:
        if unit[0][0].isalnum() or unicodedata.category(unit[0][0])[0] == "S":
            yield unit[0].casefold()
        return
    if unit["currency"] is not None:
        yield unit["currency"]
    written = f"{_signed(unit):f}"
    yield written.rstrip("0").rstrip(".") if "." in written else written


def _signed(found: re.Match[str]) -> Decimal:
    number = _decimal(found["number"])
    return number if found["sign"] in (None, "+") else number.copy_negate()


def _decimal(number: str) -> Decimal:
    digits = _GAPS.sub("", number).replace("−", "-")
    last = max(digits.rfind("."), digits.rfind(","))
    # A separator that stands there twice parts thousands.
    if last < 0 or digits.count(digits[last]) > 1 or _THOUSANDS.fullmatch(digits):
        return Decimal(_SEPARATORS.sub("", digits))
    return Decimal(f"{_SEPARATORS.sub('', digits[:last])}.{digits[last + 1 :]}")
