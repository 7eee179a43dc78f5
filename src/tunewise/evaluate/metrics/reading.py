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
_NUMBER = r"\d{1,3}(?:[ '’\u00a0\u202f]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)*"
_SIGNED = re.compile(rf"(?:(?<![\w)])[-+−])?(?:{_NUMBER})")
_UNIT = re.compile(
    rf"{_SIGNED.pattern}"
    r"|[\u3040-\u30ff\u3400-\u9fff]"  # scripts without spaces: each character is a word
    r"|[^\W\d_]+"
    r"|[^\w\s]"
)
_GAPS = re.compile(r"[ '’\u00a0\u202f]")
_SEPARATORS = re.compile(r"[.,]")
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")


def strip_fence(text: str) -> str:
    """The text without the white space and the one Markdown fence around it."""
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    return fenced[1].strip() if fenced else stripped


def list_fenced(text: str) -> list[str]:
    """What stands in its Markdown fences."""
    return [inner.strip() for inner in _FENCE.findall(text)]


def find_json(text: str) -> Json | None:
    """The first object or array in it, so that prose around it costs nothing (the `form` metric sees it).

    None where there is none, or where it repeats a key or holds NaN.
    """
    inner = strip_fence(text)
    for opening in _OPENING.finditer(inner):
        try:
            value: Json = STRICT_JSON.raw_decode(inner, opening.start())[0]
        except json.JSONDecodeError:
            continue  # a bracket in prose
        except (ValueError, RecursionError):
            return None  # JSON that means two things: no part of it is the answer
        return value
    return None


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

    1,299.50, 1.299,50 and 1 299.50 are one number. A single comma before three digits parts thousands.
    """
    found = _SIGNED.findall(text)
    return _decimal(found[-1]) if found else None


def is_number(text: str) -> bool:
    """Whether it is one number and nothing but signs beside it, such as those of a currency or per cent."""
    found = _SIGNED.findall(text)
    return len(found) == 1 and not any(c.isalnum() for c in text.replace(found[0], "", 1))


def list_units(text: str) -> list[str]:
    """Words without their case, numbers without their separators, and symbols; no punctuation.

    1,234.50 and 1234.5 are one unit.
    """
    found = _UNIT.findall(unicodedata.normalize("NFKC", text))
    return [_name_unit(unit) for unit in found if unit[-1].isalnum() or _is_symbol(unit)]


def _name_unit(unit: str) -> str:
    if not unit[-1].isdecimal():
        return unit.casefold()
    written = f"{_decimal(unit):f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _is_symbol(unit: str) -> bool:
    return unicodedata.category(unit)[0] == "S"


def _decimal(number: str) -> Decimal:
    digits = _GAPS.sub("", number).replace("−", "-")
    last = max(digits.rfind("."), digits.rfind(","))
    # A separator that stands there twice parts thousands, or the pieces of a date or version.
    if last < 0 or digits.count(digits[last]) > 1 or _THOUSANDS.fullmatch(digits):
        return Decimal(_SEPARATORS.sub("", digits))
    return Decimal(f"{_SEPARATORS.sub('', digits[:last])}.{digits[last + 1 :]}")
