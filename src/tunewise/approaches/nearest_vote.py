"""The commonest answer to the training inputs that are most like an input: k nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.approaches.majority import commonest
from tunewise.records import Example
from tunewise.retrieval.retriever import Retriever

NUM_NEIGHBOURS = 5


class NearestVote:
    """No rival of a run: if it does no better than `majority`, similar inputs have no similar labels."""

    name = "nearest-vote"

    def __init__(self, train: Retriever[Example]) -> None:
        self._train = train

    def prepare(self, train: Sequence[Example]) -> None:
        """Nothing: the training inputs are indexed already."""

    def answer(self, example: Example) -> str:
        """Of equally common answers the first by the alphabet, of all where no input is alike."""
        near = self._train.find(example, NUM_NEIGHBOURS) or self._train.items
        return commonest(neighbour.answer for neighbour in near)
