"""Whether an answer is the expected one, or holds it."""

from __future__ import annotations

from decimal import Decimal

from tunewise.data.strict_json import read_object
from tunewise.evaluate.metrics.json_fields import name_leaves
from tunewise.evaluate.metrics.reading import find_json, find_number, is_number, list_units, strip_fence


def exact_match(answer: str, expected: str) -> float | None:
    """1.0 when the answer says exactly what was expected.

    Where an object is expected, the first one in the answer counts, and so with arrays. They are compared by
    value: key order, white space and 2000 or 2000.0 make no difference; true is not 1. Both sides count
    without the white space and one Markdown fence around them.
    """
    bare = strip_fence(expected)
    wanted = read_object(bare)
    if wanted is None:
        return float(strip_fence(answer) == bare)
    given = find_json(answer, wanted)
    return float(given is not None and name_leaves(given) == name_leaves(wanted))


def numeric_match(answer: str, expected: str) -> float | None:
    """1.0 when the last number in the answer is the expected one, to as many digits as that one has.

    That is, when it is off by less than half of the last digit: 3.1416 is right for 3.14, 4.6 for 5; 4.5 is
    wrong for 5, and 2016 for 2015. Of 1e3 every digit of 1000 counts. None where no number is expected.
    """
    wanted = find_number(expected) if is_number(expected) else None
    if wanted is None:
        return None
    given = find_number(answer)
    exponent = wanted.as_tuple().exponent
    assert isinstance(exponent, int)  # else it is infinite or NaN, which is no number here
    half_a_digit = Decimal(5).scaleb(min(exponent, 0) - 1)
    return float(given is not None and abs(given - wanted) < half_a_digit)


def contains_answer(answer: str, expected: str) -> float | None:
    """1.0 when the words of the expected answer stand in the answer, next to each other and in that order.

    None where JSON is expected, or something without a word, number or symbol.
    """
    wanted = list_units(expected)
    if not wanted or read_object(expected) is not None:
        return None
    return float(f" {' '.join(wanted)} " in f" {' '.join(list_units(answer))} ")
