"""What a text says, as words and numbers that can be looked for elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tunewise.data.strict_json import read_object

MAX_WORDS = 40
"""Longer texts say much that is neither fact nor label, and are not looked at."""
SHORT_WORDS = 4
"""Every word counts in texts up to this; in longer ones only numbers and names do."""

_UNIT = re.compile(
    r"(?:(?<![\w)])[-−])?\d(?:[\d.,:/-]*\d)?"
    r"|[\u3040-\u30ff\u3400-\u9fff]"  # scripts without spaces: each character is a word
    r"|[^\W\d_]+"
)
_WITH_COMMAS = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_WITH_POINTS = re.compile(r"-?[1-9]\d{0,2}(?:(?:\.\d{3})+,\d+|(?:\.\d{3}){2,})")
_DECIMAL = re.compile(r"-?\d+[.,]\d+")
_THOUSANDS_OR_DECIMAL = re.compile(r"-?[1-9]\d{0,2}\.\d{3}")
_SENTENCE_ENDS = ".!?:\n"


def text_units(text: str) -> Iterator[str]:
    """Words without their case, and numbers in one way of writing: 1,234.50 and 1.234,5 are 1234.5.

    Dates, times and ranges stay as they are. A single comma before three digits parts thousands.
    """
    for match in _UNIT.finditer(text):
        yield _normalise_unit(match[0])


def answer_texts(answer: str) -> list[str]:
    """What an answer says, without JSON's keys and syntax: its values, or else the answer itself."""
    value = read_object(answer)
    return [answer] if value is None else list(_leaves(value))


def answer_units(answer: str) -> Iterator[str]:
    """Words and numbers of short texts and of a JSON answer's values; numbers and names of longer texts."""
    if _is_json(answer):
        for leaf in _leaves(read_object(answer)):
            yield from text_units(leaf)
        return
    for phrase in _phrases(answer):
        yield from phrase


def answer_phrases(answer: str) -> Iterator[tuple[str, ...]]:
    """What has to stand together: a short text as a whole, and so each short value of a JSON answer.

    Of longer texts and values each number and name for itself; of the longest nothing.
    """
    for text in _leaves(read_object(answer)) if _is_json(answer) else [answer]:
        yield from _phrases(text)


def _phrases(text: str) -> Iterator[tuple[str, ...]]:
    num_words = len(text.split())
    if num_words <= SHORT_WORDS:
        phrase = tuple(text_units(text))
        if phrase:
            yield phrase
    elif num_words <= MAX_WORDS:
        yield from ((fact,) for fact in _facts(text))


def _is_json(answer: str) -> bool:
    return answer.lstrip().startswith(("{", "["))


def _leaves(value: Any) -> Iterator[str]:
    """Texts, numbers and booleans of a JSON value; without recursion, as answers may be nested deeply."""
    open_values = [value]
    while open_values:
        inner = open_values.pop()
        if isinstance(inner, dict):
            open_values.extend(inner.values())
        elif isinstance(inner, list):
            open_values.extend(inner)
        elif inner is not None:
            yield str(inner)


def _facts(text: str) -> Iterator[str]:
    """Numbers, and words with a capital letter that no sentence begins with."""
    for match in _UNIT.finditer(text):
        before = text[: match.start()].rstrip()
        begins = not before or before[-1] in _SENTENCE_ENDS
        if _is_number(match[0]) or (match[0][0].isupper() and not begins):
            yield _normalise_unit(match[0])


def _normalise_unit(unit: str) -> str:
    return _normalise_number(unit.replace("−", "-")) if _is_number(unit) else unit.casefold()


def _is_number(unit: str) -> bool:
    return unit[-1].isdecimal()


def _normalise_number(number: str) -> str:
    if _WITH_COMMAS.fullmatch(number):
        number = number.replace(",", "")
    elif _WITH_POINTS.fullmatch(number):
        number = number.replace(".", "").replace(",", ".")
    elif _DECIMAL.fullmatch(number):
        number = number.replace(",", ".")
        if _THOUSANDS_OR_DECIMAL.fullmatch(number):
            return number  # 2.500 may be 2.5 and may be 2500, so it is neither.
    return number.rstrip("0").rstrip(".") if _DECIMAL.fullmatch(number) else number
