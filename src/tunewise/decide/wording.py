"""Numbers in plain words, for headlines and reasons that somebody without statistics reads. Pure."""

from __future__ import annotations

import math

from tunewise.approaches.names import FINE_TUNED, FINE_TUNED_RAG, FROM_SCRATCH, RAG
from tunewise.decide.measurements import Measurements
from tunewise.evaluate.stats import PairedGain
from tunewise.records import ApproachResult

_SIGNS = {"GBP": "£", "EUR": "€", "USD": "$"}
_MINUS = "−"
_OWN_NAMES = {
    FINE_TUNED: "the tuned model",
    FINE_TUNED_RAG: "the tuned model with your documents",
    FROM_SCRATCH: "a model trained on your examples alone",
    RAG: f"a prompt with your documents ({RAG})",
}


def whole_percent(share: float) -> str:
    """A share as a whole percentage, with a decimal where rounding would claim all or nothing."""
    whole = round(100 * share)
    return f"{100 * share:.1f}%" if whole in (0, 100) and share not in (0, 1) else f"{whole}%"


def whole_points(difference: float) -> str:
    """A difference of shares without its sign, in whole percentage points."""
    return f"{100 * abs(difference):.0f} points"


def describe_gain(rival: str, gain: PairedGain) -> str:
    """A gain with its interval and its p, as a clause."""
    p = gain.p_two_sided
    chance = "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"
    interval = f"95% interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
    return f"{100 * gain.estimate:+.1f} points over {rival} ({interval}, {chance})"


def name_in_words(m: Measurements, name: str) -> str:
    """An approach as a reader knows it, with its name where the table has to be searched for it."""
    if name in _OWN_NAMES:
        return _OWN_NAMES[name]
    if name in m.floors:
        return f"guessing ({name})"
    return f"the best prompt ({name})" if name in (m.best_untrained, m.best_closed_book) else name


def score_in_words(m: Measurements, row: ApproachResult) -> str:
    """A score as a percentage, and none where the metric is defined on no answer."""
    return "no score" if row.name in m.without_score else whole_percent(row.score)


def name_with_score(m: Measurements, name: str) -> str:
    """The same with its score, for one that a headline does not give already."""
    row = m.row(name)
    score = "" if row is None else f" ({score_in_words(m, row)})"
    return f"{name_in_words(m, name)}{score}"


def money(amount: float, currency: str) -> str:
    """An amount with two significant digits below 0.10, so that the price of one call can be read."""
    size = abs(amount)
    if size == 0:
        return priced("0", currency)
    if 0 < size < 0.0001:
        return f"less than {priced('0.0001', currency)}"
    digits = 2 if size >= 0.0995 else 1 - math.floor(math.log10(size))
    written = f"{size:,.{digits}f}"
    while len(written.partition(".")[2]) > 2 and written.endswith("0"):
        written = written[:-1]
    return (_MINUS if amount < 0 else "") + priced(written, currency)


def priced(written: str, currency: str) -> str:
    """A written amount with its currency: a sign before it, or a code behind it."""
    sign = _SIGNS.get(currency.upper())
    return f"{sign}{written}" if sign else f"{written} {currency}"
