"""The floor that always gives the commonest training answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from tunewise.records import Example


class Majority:
    """On a test set where one answer dominates, a model that only learned to give it looks good."""

    name = "majority"

    def __init__(self) -> None:
        self._answer = ""

    def prepare(self, train: Sequence[Example]) -> None:
        """Count the training answers."""
        self._answer = commonest(example.answer for example in train)

    def answer(self, example: Example) -> str:
        """The same for every example."""
        del example
        return self._answer


def commonest(answers: Iterable[str]) -> str:
    """The answer given most often, without outer white space; of equals the first by the alphabet."""
    counts = Counter(answer.strip() for answer in answers)
    return min(counts, key=lambda answer: (-counts[answer], answer))
