"""How an answer is read and scored, the same for every rival.

To add a metric: write a function `(answer, expected, form) -> float | None` (1 is right, 0 is wrong, None is
undefined, which is never counted as 0) and give it a line in `METRICS` at the end of this page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from tunewise.data.strict_json import STRICT_JSON, read_object

AnswerForm = Literal["json", "text"]
Json = dict[str, Any] | list[Any]
Metric = Callable[[str, str, AnswerForm], float | None]

_FENCE = re.compile(r"```[^\n`]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_OPENING = re.compile(r"[{\[]")


def infer_form(training_answers: Iterable[str]) -> AnswerForm:
    """`json` when every training answer is a JSON object or array, else `text`. Not for test answers."""
    parsed = [read_object(answer) for answer in training_answers]
    return "json" if parsed and all(value is not None for value in parsed) else "text"


def parse_answer(text: str, form: AnswerForm) -> str | Json | None:
    """What the answer says, once the white space and one Markdown fence around it are off.

    Text: the rest as it is. JSON: the first object or array in it, so that prose around it costs nothing
    here (the `form` metric sees it); None when there is none, or when it repeats a key or holds NaN.
    """
    stripped = text.strip()
    fenced = _FENCE.fullmatch(stripped)
    inner = fenced[1].strip() if fenced else stripped
    return _first_json(inner) if form == "json" else inner


def exact_match(answer: str, expected: str, form: AnswerForm) -> float | None:
    """1.0 when the answer says exactly what was expected.

    JSON is compared by value: key order, white space and 2000 or 2000.0 make no difference; true is not 1.
    An expected answer that is no JSON among ones that are is compared as text.
    """
    wanted = read_object(expected) if form == "json" else None
    if wanted is None:
        return float(parse_answer(answer, "text") == expected.strip())
    given = parse_answer(answer, "json")
    return float(isinstance(given, dict | list) and _leaves(given) == _leaves(wanted))


def json_field_accuracy(answer: str, expected: str, form: AnswerForm) -> float | None:
    """The share of fields that are right, over all fields expected or given, so that inventing some costs.

    0.0 when the answer is no JSON; None when the expected answer is none.
    """
    wanted = read_object(expected) if form == "json" else None
    if wanted is None:
        return None
    given = parse_answer(answer, "json")
    if not isinstance(given, dict | list):
        return 0.0
    wanted_leaves, given_leaves = _leaves(wanted), _leaves(given)
    right = sum(given_leaves.get(path) == leaf for path, leaf in wanted_leaves.items())
    return right / len(wanted_leaves.keys() | given_leaves.keys())


def form_adherence(answer: str, expected: str, form: AnswerForm) -> float | None:  # noqa: ARG001 - a metric's shape
    """1.0 when the answer as it stands, without prose or fence, is JSON; None for text, which has no form."""
    return None if form == "text" else float(read_object(answer) is not None)


def metrics_for(form: AnswerForm) -> dict[str, Callable[[str, str], float | None]]:
    """Every metric by name, ready to be called with (answer, expected). The first is the primary one."""
    return {name: partial(_call, metric, form) for name, metric in METRICS.items()}


def _call(metric: Metric, form: AnswerForm, answer: str, expected: str) -> float | None:
    return metric(answer, expected, form)


def _first_json(text: str) -> Json | None:
    for opening in _OPENING.finditer(text):
        try:
            value: Json = STRICT_JSON.raw_decode(text, opening.start())[0]
        except json.JSONDecodeError:
            continue  # a bracket in prose
        except (ValueError, RecursionError):
            return None  # JSON that means two things: no part of it is the answer
        return value
    return None


def _leaves(value: Json) -> dict[tuple[str | int, ...], tuple[str, object]]:
    """Every field that holds no further fields, by path, tagged with its kind so that true differs from 1.

    Without recursion, because an answer may be nested as deeply as its parser allows.
    """
    leaves: dict[tuple[str | int, ...], tuple[str, object]] = {}
    open_fields: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while open_fields:
        path, field = open_fields.pop()
        if isinstance(field, dict) and field:
            open_fields.extend(((*path, key), inner) for key, inner in field.items())
        elif isinstance(field, list) and field:
            open_fields.extend(((*path, index), inner) for index, inner in enumerate(field))
        elif isinstance(field, int | float) and not isinstance(field, bool):
            leaves[path] = ("number", field)
        else:
            leaves[path] = (type(field).__name__, None if isinstance(field, dict | list) else field)
    return leaves


METRICS: dict[str, Metric] = {
    "exact_match": exact_match,
    "json_field_accuracy": json_field_accuracy,
    "form": form_adherence,
}

PRIMARY_METRIC = next(iter(METRICS))
