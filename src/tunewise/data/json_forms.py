"""The form of answers that are JSON: which keys there are, and what they hold.

A key is not wrong for being rare: many objects have optional ones. What deviates is a row without a key that
all others have, a key beside those of a closed object, a key or value spelled otherwise, another type.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tunewise.data.shapes import is_date, shape_of
from tunewise.data.strict_json import read_object
from tunewise.records import Grammar

MAX_DEPTH = 3
"""Of objects and lists that are looked into."""
ALWAYS = 0.95
"""The share of objects that have a key without which the others deviate."""
MIN_VALUES = 50
"""Fewer do not show that a field has only certain values."""

_TYPES = {
    dict: "object", list: "list", str: "text", bool: "true or false",
    int: "number", float: "number", type(None): "null",
}  # fmt: skip
_SCHEMA_TYPES = {
    "object": "object", "list": "array", "text": "string", "true or false": "boolean", "number": "number",
}  # fmt: skip


class Counted(NamedTuple):
    """A JSON value and how many answers hold it."""

    value: Any
    times: int


@dataclass(frozen=True, slots=True)
class ValueForm:
    """What stands in one place of the objects: types, and what is inside."""

    types: tuple[str, ...]
    """Most frequent first, without null."""
    nullable: bool
    closed: bool
    """Whether other types deviate."""
    fields: ObjectForm | None = None
    items: ValueForm | None = None
    values: Mapping[str, str] | None = None
    """The only values of a text field, by what is left of them without case."""
    date_shape: str | None = None

    def describe(self) -> str:
        """The types, or the values there are."""
        if self.fields is not None:
            return f"object{self.fields.describe()}"
        if self.items is not None:
            inner = self.items.describe()
            return f"list of {inner}" if inner else "list"
        if self._has_few_values():
            described = f"one of {', '.join((self.values or {}).values())}"
        elif self.date_shape is not None:
            described = f"date as {self.date_shape}"
        else:
            described = " or ".join(self.types)
        return f"{described} or null" if self.nullable and described else described or "null"

    def schema(self) -> dict[str, Any]:
        """The JSON schema of what belongs here; of any value where several types do."""
        if not self.closed:
            return {}
        if self._has_few_values():
            texts = list((self.values or {}).values())
            return {"enum": [*texts, None] if self.nullable else texts}
        schema: dict[str, Any] = {"type": _SCHEMA_TYPES[self.types[0]]}
        if self.fields is not None:
            schema |= self.fields.schema()
        if self.items is not None:
            schema["items"] = self.items.schema()
        return {"anyOf": [schema, {"type": "null"}]} if self.nullable else schema

    def _has_few_values(self) -> bool:
        return self.values is not None and len(self.values) <= 6 and self.types == ("text",)

    def deviation(self, value: Any, place: str) -> str | None:
        """Why `value` does not belong here."""
        kind = _TYPES[type(value)]
        if kind == "null":
            return None
        if self.closed and kind not in self.types:
            return f"has {_with_article(kind)}{place} where the others have {_with_article(self.types[0])}"
        if kind == "object" and self.fields is not None:
            return self.fields.deviation(value, place)
        if kind == "list" and self.items is not None:
            found = (self.items.deviation(item, f"{place or ' as an item'}") for item in value)
            return next((reason for reason in found if reason), None)
        if kind == "text":
            return self._text_deviation(value, place)
        return None

    def _text_deviation(self, value: str, place: str) -> str | None:
        if self.values is not None:
            usual = self.values.get(_fold(value), value)
            if usual != value:
                return f"spells {usual!r}{place} otherwise"
        if self.date_shape is not None and is_date(value) and shape_of(value) != self.date_shape:
            return f"writes the date{place} otherwise than the others ({self.date_shape})"
        return None


@dataclass(frozen=True, slots=True)
class ObjectForm:
    """The keys of an object."""

    fields: Mapping[str, ValueForm]
    """Most frequent first."""
    required: tuple[str, ...]
    closed: bool
    """Whether keys that are not in `fields` deviate."""
    spellings: Mapping[str, str]
    """Each key by what is left of it without case and separators."""

    def describe(self) -> str:
        """The keys after a "with", and what they hold; optional ones are named as such."""
        described = [
            f"{key} ({form.describe()}{'' if key in self.required else ', optional'})"
            for key, form in list(self.fields.items())[:8]
        ]
        if len(self.fields) > 8:
            described.append(f"{len(self.fields) - 8} more keys")
        return f" with {_join(described)}" if described else ""

    def schema(self) -> dict[str, Any]:
        """The part of a JSON schema that is about an object's keys."""
        return {
            "properties": {key: form.schema() for key, form in self.fields.items()},
            "required": list(self.required),
            "additionalProperties": not self.closed,
        }

    def deviation(self, value: Mapping[str, Any], place: str) -> str | None:
        """Keys first, then what they hold."""
        for key in value:
            if (usual := self.spellings.get(_fold_key(key), key)) != key:
                return f"has the key {key!r}{place} where the others have {usual!r}"
        missing = [key for key in self.required if key not in value]
        if missing:
            return f"lacks {missing[0]!r}{place}"
        for key, inner in value.items():
            form = self.fields.get(key)
            if form is None:
                if self.closed:
                    return f"has the key {key!r}{place}, which the others have not"
                continue
            if reason := form.deviation(inner, f" in {key!r}"):
                return reason
        return None


@dataclass(frozen=True, slots=True)
class JsonForm:
    """Answers that are a JSON object or array each, and nothing around it."""

    root: ValueForm

    def describe(self) -> str:
        """What they hold."""
        fields = self.root.fields
        return f"JSON objects{fields.describe()}" if fields else f"JSON, each a {self.root.describe()}"

    def instruction(self) -> str:
        """What to tell a model that is to answer so."""
        return f"Answer with JSON and nothing else. Answers are {self.describe()}."

    def grammar(self) -> Grammar:
        """The JSON schema of such an answer."""
        return Grammar("json_schema", json.dumps(self.root.schema(), ensure_ascii=False))

    def deviation(self, answer: str) -> str | None:
        """What keeps an answer from being such JSON, or what is different in it."""
        value = read_object(answer)
        return _name_non_json(answer.strip()) if value is None else self.root.deviation(value, "")


def is_json(text: str) -> bool:
    """Whether the whole text is a JSON object or array."""
    text = text.strip()
    return text[:1] in ("{", "[") and text[-1:] in ("}", "]") and read_object(text) is not None


def infer_json_form(distinct: Mapping[str, int], dominant: float) -> JsonForm | None:
    """The form of answers of which the share `dominant` is JSON; None where fewer are."""
    total = sum(distinct.values())
    values: list[Counted] = []
    others = 0
    for answer, count in distinct.items():
        value = read_object(answer)
        if value is not None:
            values.append(Counted(value, count))
            continue
        others += count
        if others > (1 - dominant) * total:
            return None
    return JsonForm(_infer_value(values, dominant, MAX_DEPTH))


def _infer_value(values: Sequence[Counted], dominant: float, depth: int) -> ValueForm:
    by_type: dict[str, list[Counted]] = {}
    for counted in values:
        by_type.setdefault(_TYPES[type(counted.value)], []).append(counted)
    nullable = by_type.pop("null", None) is not None
    totals = {kind: _total(of_kind) for kind, of_kind in by_type.items()}
    total = sum(totals.values())
    types = sorted(totals, key=lambda kind: -totals[kind])
    closed = bool(types) and totals[types[0]] >= dominant * total
    if closed:
        types = types[:1]
    kind = types[0] if closed else None
    objects, lists, texts = (by_type.get(name, []) for name in ("object", "list", "text"))
    items = [Counted(item, count) for value, count in lists for item in value]
    return ValueForm(
        types=tuple(types),
        nullable=nullable,
        closed=closed,
        fields=_infer_object(objects, dominant, depth - 1) if kind == "object" and depth else None,
        items=_infer_value(items, dominant, depth - 1) if kind == "list" and items and depth else None,
        values=_infer_values(texts, dominant),
        date_shape=_infer_date_shape(texts, dominant),
    )


def _infer_object(objects: Sequence[Counted], dominant: float, depth: int) -> ObjectForm:
    total = _total(objects)
    held: dict[str, list[Counted]] = {}
    for value, count in objects:
        for key, inner in value.items():
            held.setdefault(key, []).append(Counted(inner, count))
    counts = {key: _total(values) for key, values in held.items()}
    ordered = sorted(counts, key=lambda key: -counts[key])
    spellings: dict[str, str] = {}
    for key in ordered:
        spellings.setdefault(_fold_key(key), key)
    required = [key for key in ordered if counts[key] >= dominant * total and _is_required(key, objects)]
    whole = [counted for counted in objects if all(key in counted.value for key in required)]
    exact = sum(count for value, count in whole if len(value) == len(required))
    closed = bool(required) and exact >= dominant * _total(whole)
    known = [
        key
        for key in ordered
        if spellings[_fold_key(key)] == key
        and (not closed or key in required or counts[key] >= (1 - ALWAYS) * total)
        and (not closed or any(key in value for value, _ in whole))
    ]
    fields = {key: _infer_value(held[key], dominant, depth) for key in known}
    return ObjectForm(fields, tuple(required), closed, spellings)


def _is_required(key: str, objects: Sequence[Counted]) -> bool:
    """Whether nearly all have it, or those without are of another kind, with keys never seen beside it."""
    beside = {other for value, _ in objects if key in value for other in value}
    lacking = [counted for counted in objects if key not in counted.value]
    strange = sum(count for value, count in lacking if not beside.issuperset(value))
    return _total(lacking) <= (1 - ALWAYS) * _total(objects) or strange >= 0.9 * _total(lacking)


def _infer_values(texts: Sequence[Counted], dominant: float) -> dict[str, str] | None:
    """The usual spelling of each value of a field that has only a few, and nearly always spells them so."""
    total = _total(texts)
    if total < MIN_VALUES:
        return None
    counts: Counter[str] = Counter()
    for value, count in texts:
        counts[value] += count
    usual: dict[str, str] = {}
    for value, _ in counts.most_common():
        usual.setdefault(_fold(value), value)
    few = len(usual) <= math.sqrt(total)
    return usual if few and sum(counts[value] for value in usual.values()) >= dominant * total else None


def _infer_date_shape(texts: Sequence[Counted], dominant: float) -> str | None:
    shapes: Counter[str] = Counter()
    for value, count in texts:
        if len(value) <= 10 and is_date(value):
            shapes[shape_of(value) or ""] += count
    if not shapes or shapes.total() < dominant * _total(texts):
        return None
    shape, count = shapes.most_common(1)[0]
    return shape if count >= dominant * shapes.total() else None


def _name_non_json(text: str) -> str:
    if text.startswith("```"):
        return "wraps its JSON in a code fence"
    if text.startswith(("{", "[")):
        return "is broken JSON"
    return "has text around its JSON" if "{" in text and "}" in text else "is text instead of JSON"


def _total(values: Sequence[Counted]) -> int:
    return sum(count for _, count in values)


def _fold(text: str) -> str:
    return text.strip().casefold()


def _fold_key(key: str) -> str:
    return "".join(key.replace("_", " ").replace("-", " ").split()).casefold()


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _with_article(kind: str) -> str:
    return f"{'an' if kind == 'object' else 'a'} {kind}" if kind not in ("text", "true or false") else kind
