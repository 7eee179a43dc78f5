"""The floor that always gives the commonest training answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tunewise.records import Example


class Majority:
    """On a test set where one answer dominates, a model that only learned to give it looks good."""

    name = "majority"

    def __init__(self) -> None:
        self._answer = ""

    def prepare(self, train: Sequence[Example]) -> None:
        """Count the training answers; of equally common ones the first in order of the alphabet."""
        counts = Counter(example.answer.strip() for example in train)
        self._answer = min(counts, key=lambda answer: (-counts[answer], answer))

    def answer(self, example: Example) -> str:
        """The same for every example."""
        del example
        return self._answer
