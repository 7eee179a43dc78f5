"""The floor that gives the commonest answer to questions that are worded alike."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

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
        self._answers: dict[tuple[str, ...], str] = {}

    def prepare(self, train: Sequence[Example]) -> None:
        """Count the training answers of each pattern, and of all of them together."""
        self._overall.prepare(train)
        prompts = [input_words(example) for example in train]
        counts = Counter(word for words in prompts for word in set(words))
        self._pattern_words = frozenset(
            word for word, count in counts.items() if count >= MIN_SHARE_OF_PROMPTS * len(train)
        )
        answers: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        for example, words in zip(train, prompts, strict=True):
            answers[tuple(self._pattern(words))].append(example.answer)
        self._answers = {pattern: commonest(of_pattern) for pattern, of_pattern in answers.items()}

    def answer(self, example: Example) -> str:
        """The commonest one to its pattern, or of all where the pattern is new."""
        pattern = tuple(self._pattern(input_words(example)))
        known = self._answers.get(pattern)
        return self._overall.answer(example) if known is None else known

    def _pattern(self, words: Sequence[str]) -> Iterator[str]:
        """The words that many prompts have; what stands between two of them is one slot, however long."""
        last = None
        for word in words:
            piece = word if word in self._pattern_words else SLOT
            if piece != SLOT or last != SLOT:
                yield piece
            last = piece
