"""Answers as somebody reads them who forgives their form, which shows how much of a gain is form alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from tunewise.data.strict_json import read_object
from tunewise.evaluate.metrics.matching import contains_answer
from tunewise.evaluate.metrics.reading import Json, find_json, list_fenced, list_leaves, list_units
from tunewise.evaluate.metrics.scoring import KNOWING
from tunewise.records import Score


def forgive_form(scores: Sequence[Score], metric: str) -> tuple[Score, ...]:
    """The scores as if every answer that says what was expected had been written as expected.

    Case, punctuation and number formats make no difference, nor do code fences, a line before or after the
    answer, or a "The answer:" in front of it, nor a sentence around the words of the answer, which stand
    there as expected, where `knowing` is 1. In JSON, which may stand in prose, the spelling of keys makes
    none either, nor do fields that are null. A distinction that the expected answers themselves make is
    content, not form: where two of them differ in nothing else, both are read strictly. Where `metric` is
    undefined it stays so.
    """
    spellings: defaultdict[Hashable, set[str]] = defaultdict(set)
    for score in scores:
        spellings[_fold(score.expected)].add(score.expected.strip())
    forgiven = (len(spellings[_fold(score.expected)]) == 1 and _is_right(score, metric) for score in scores)
    return tuple(
        replace(score, answer=score.expected, metrics={**score.metrics, metric: 1.0}) if is_right else score
        for score, is_right in zip(scores, forgiven, strict=True)
    )


def _is_right(score: Score, metric: str) -> bool:
    if score.status != "answered" or score.metrics.get(metric) is None:
        return False
    wanted = read_object(score.expected)
    if wanted is not None:
        given = find_json(score.answer, wanted)
        return given is not None and _fold_json(given) == _fold_json(wanted)
    if score.metrics.get(KNOWING) == 1 and contains_answer(score.answer, score.expected) == 1:
        return True
    folded = _fold_text(score.expected)
    return any(_fold_text(reading) == folded for reading in _readings(score.answer))


def _readings(answer: str) -> Iterator[str]:
    """Where in an answer the one that was asked for may stand."""
    yield answer
    yield from list_fenced(answer)
    lines = [line for line in answer.splitlines() if line.strip()]
    for line in (*lines[:1], *lines[-1:]):
        yield line
        yield line.partition(": ")[2]


def _fold(expected: str) -> Hashable:
    document = read_object(expected)
    return _fold_text(expected) if document is None else _fold_json(document)


def _fold_json(document: Json) -> frozenset[tuple[tuple[str, ...], str]]:
    """The fields that are not null: their paths and values without what is form."""
    return frozenset(
        (tuple("".join(list_units(str(part))) for part in path), _fold_text(str(value)))
        for path, value in list_leaves(document)
        if value is not None
    )


def _fold_text(text: str) -> str:
    # A text of punctuation alone says something by it.
    return " ".join(list_units(text)) or text.strip()
