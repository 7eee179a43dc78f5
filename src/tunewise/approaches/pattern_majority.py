"""The floor that gives the commonest answer to questions that are worded alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tunewise.approaches.majority import Majority, commonest
from tunewise.data.words import input_words
from tunewise.records import Example

MIN_SHARE_OF_PROMPTS = 0.05
"""Words of fewer training prompts are what a question is about; the others are its pattern."""
SLOT = "_"


class PatternMajority:
    """What guessing by the wording alone gets.

    A model that learned no more than that answers to "In which year was ..." tend to be 2015 looks as if it
    knew some of them.
    """

    name = "pattern-majority"

    def __init__(self) -> None:
        self._overall = Majority()
        self._pattern_words: frozenset[str] = frozenset()
        self._answers: dict[str, str] = {}

    def prepare(self, train: Sequence[Example]) -> None:
        """Count the training answers of each pattern, and of all of them together."""
        self._overall.prepare(train)
        counts = Counter(word for example in train for word in set(input_words(example)))
        self._pattern_words = frozenset(
            word for word, count in counts.items() if count >= MIN_SHARE_OF_PROMPTS * len(train)
        )
        answers: defaultdict[str, list[str]] = defaultdict(list)
        for example in train:
            answers[self.pattern(example)].append(example.answer)
        self._answers = {pattern: commonest(of_pattern) for pattern, of_pattern in answers.items()}

    def answer(self, example: Example) -> str:
        """The commonest one to its pattern, or of all where the pattern is new."""
        known = self._answers.get(self.pattern(example))
        return self._overall.answer(example) if known is None else known

    def pattern(self, example: Example) -> str:
        """The words that many prompts have; what stands between two of them is one slot, however long."""
        pieces: list[str] = []
        for word in input_words(example):
            piece = word if word in self._pattern_words else SLOT
            if piece != SLOT or pieces[-1:] != [SLOT]:
                pieces.append(piece)
        return " ".join(pieces)
