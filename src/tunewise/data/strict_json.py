"""JSON that means one thing only. Used wherever what a user or a model wrote is read."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

# What a 64-bit float can hold: beyond it, other JSON readers would quietly see another number.
MAX_DIGITS = 308


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON value: use a number or null")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _sized_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return int(text)


STRICT_JSON = json.JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_constant=_no_constant,
    parse_float=_finite_float,
    parse_int=_sized_int,
)
"""JSON as RFC 8259 means it, where Python's own reader is lax: a repeated key, NaN, an infinity or a number
beyond a float's range raises ValueError; text that is not JSON raises its subclass JSONDecodeError; too
deep a nesting raises RecursionError."""


def json_complaint(error: json.JSONDecodeError) -> str:
    """What is wrong, to be followed by the place."""
    return error.msg.removesuffix(" starting at").removesuffix(" at")


def read_object(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or array that the whole text is, or None."""
    try:
        value = STRICT_JSON.decode(text.strip())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
