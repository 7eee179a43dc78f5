"""The floor that copies the answer of the most similar training input."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz, process

from tunewise.records import Example


class NearestCopy:
    """What memorising alone would get: a model that does no better has learned nothing but lookup."""

    name = "nearest-copy"

    def __init__(self) -> None:
        self._inputs: list[str] = []
        self._answers: list[str] = []

    def prepare(self, train: Sequence[Example]) -> None:
        """Remember every training input and its answer."""
        self._inputs = [_input_text(example) for example in train]
        self._answers = [example.answer for example in train]

    def answer(self, example: Example) -> str:
        """The answer of the training input with the highest edit similarity; of equals, the first."""
        _, _, index = process.extractOne(_input_text(example), self._inputs, scorer=fuzz.ratio)
        return self._answers[index]


def _input_text(example: Example) -> str:
    return "\n".join(message.content for message in example.turns).casefold()
