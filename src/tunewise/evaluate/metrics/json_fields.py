"""Metrics of answers that should be JSON. They are undefined where the expected answer is none."""

from __future__ import annotations

from tunewise.data.strict_json import read_object
from tunewise.evaluate.metrics.reading import Json, Path, find_json, list_leaves


def json_validity(answer: str, expected: str) -> float | None:
    """1.0 when the whole answer, as it stands, is a JSON object or array, whatever is in it."""
    return None if read_object(expected) is None else float(read_object(answer) is not None)


def json_field_accuracy(answer: str, expected: str) -> float | None:
    """The share of fields that are right, over all fields expected or given, so that inventing some costs.

    0.0 when there is no JSON in the answer.
    """
    wanted = read_object(expected)
    if wanted is None:
        return None
    given = find_json(answer, wanted)
    if given is None:
        return 0.0
    wanted_leaves, given_leaves = name_leaves(wanted), name_leaves(given)
    right = sum(given_leaves.get(path) == leaf for path, leaf in wanted_leaves.items())
    return right / len(wanted_leaves.keys() | given_leaves.keys())


def name_leaves(value: Json) -> dict[Path, tuple[str, object]]:
    """Every field that holds no further fields, by path, tagged with its kind so that true differs from 1."""
    return {path: _tag(field) for path, field in list_leaves(value)}


def _tag(field: object) -> tuple[str, object]:
    if isinstance(field, int | float) and not isinstance(field, bool):
        return "number", field
    return type(field).__name__, None if isinstance(field, dict | list) else field
