"""How numbers and other people's text are written out, for the report and the model card alike.

Text from the user's data is hostile until proven otherwise: `visible` shows control and bidirectional
characters instead of obeying them, `shorten` bounds how much of it is written. Escaping for HTML is Jinja's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tunewise.decide import wording as decided

NOTHING = "—"
"""What stands where a number is not known."""
_MINUS = "−"
_ACRONYMS = {"json": "JSON", "f1": "F1", "kl": "KL", "id": "id", "rag": "RAG", "lora": "LoRA"}
# Everything that is not text: control characters but tab and newline, characters that reorder or hide their
# neighbours, and halves of surrogate pairs, which no encoding can write. Joiners (U+200C, U+200D) stay:
# Persian and many emoji are spelled with them.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """The same text with every control, bidirectional and unpaired surrogate character shown, not obeyed."""
    return _INVISIBLE.sub(_picture, text.replace("\r\n", "\n"))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a picture of each of these
    return f"⟨U+{code:04X}⟩"


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters of the text, and how many were left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit].rstrip()}… ({len(text) - limit:,} more characters)"


def is_number(value: Any) -> bool:
    """Whether this is a finite number; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def count(value: Any, unit: str = "") -> str:
    """A whole number with thousands separators; `unit` is given in the singular."""
    if not is_number(value):
        return NOTHING
    whole = value == round(value)
    number = (f"{round(value):,}" if whole else f"{value:,.1f}").replace("-", _MINUS)
    return f"{number} {unit}{'' if abs(value) == 1 else 's'}" if unit else number


def tokens(value: Any) -> str:
    """A mean number of tokens."""
    return f"{value:,.1f}" if is_number(value) else NOTHING


def percent(value: Any) -> str:
    """A share in 0..1 as a percentage with one decimal."""
    return f"{100 * value:.1f}%".replace("-", _MINUS) if is_number(value) else NOTHING


def interval(low: Any, high: Any) -> str:
    """An interval of shares, as `88.1–95.0%`."""
    if not (is_number(low) and is_number(high)):
        return NOTHING
    return f"{100 * low:.1f}–{100 * high:.1f}%".replace("-", _MINUS)


def points(value: Any) -> str:
    """A difference of shares in percentage points, always with its sign."""
    return f"{100 * value:+.1f}".replace("-", _MINUS) if is_number(value) else NOTHING


def gain(estimate: Any, low: Any, high: Any) -> str:
    """A difference of shares with its interval, in percentage points."""
    return f"{points(estimate)} points ({points(low)} to {points(high)})"


def money(amount: Any, currency: str) -> str:
    """An amount with two significant digits below 0.10, so that the price of one call can be read."""
    if not is_number(amount):
        return NOTHING
    return decided.money(amount, currency)


def money_spent(amount: Any, currency: str) -> str:
    """An amount that somebody paid: whole pennies, or "less than" one."""
    if is_number(amount) and 0 < amount < 0.01:
        return f"less than {decided.priced('0.01', currency)}"
    return money(round(amount, 2), currency) if is_number(amount) else NOTHING


def duration(seconds: Any) -> str:
    """A length of time in the two largest units that say something."""
    if not is_number(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def milliseconds(value: Any) -> str:
    """A latency, with a decimal only where it matters."""
    if not is_number(value):
        return NOTHING
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def title(name: str) -> str:
    """A key as words: `best_step` becomes `Best step`. Hyphens stay, as in `few-shot`."""
    words = [_ACRONYMS.get(word.lower(), word) for word in re.sub(r"[_\s]+", " ", name).split()]
    joined = " ".join(words)
    return joined[:1].upper() + joined[1:]


def moment(value: Any) -> str:
    """A point in time: Unix seconds in UTC, anything else as it was written down."""
    if is_number(value) and 0 <= value < 253402300800:  # the year 10000
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return plain(value)


def plain(value: Any) -> str:
    """Any JSON value in a line, for evidence and settings whose meaning only their name tells."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", _MINUS)
    if isinstance(value, float):
        return _plain_float(value)
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
    return json.dumps(value, default=str, ensure_ascii=False)


def _plain_float(value: float) -> str:
    if not math.isfinite(value):
        return NOTHING
    if value == round(value) and abs(value) < 1e15:
        return plain(round(value))
    return (f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}").replace("-", _MINUS)
