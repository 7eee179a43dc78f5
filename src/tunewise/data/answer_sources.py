"""Where what the answers say comes from: the prompt, other answers, documents, or nowhere.

What stands in the prompt a model learns to pick out, and what other answers to such inputs say it learns to
choose. Facts that stand only in documents have to be looked up: training does not teach them reliably.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tunewise.data.content import answer_units, text_units
from tunewise.records import Example

MAX_EXAMPLES = 10_000
"""More are sampled; the shares of a file do not change by a point."""
MAX_PROMPT_WORDS = 200
"""Of the end of a prompt, which is what the answer goes by."""
PREDICTABLE = 0.1
"""How often answers to inputs with the same word say it, for it to count as learned from other answers."""
PRIOR_GROUPS = 5
"""Added to the inputs with that word, so that a word seen once or twice foretells nothing."""
MAX_ANCHOR_SHARE = 0.1
"""Of the documents may hold a word of the prompt that tells which document is meant."""


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Shares, together 1, of what the answers say; the rarer a word or number, the more it counts."""

    prompt: float
    """Stands in the prompt."""
    other_answers: float
    """Not there, but answers of other groups to such inputs say it."""
    documents: float
    """Only in a document that the prompt names by some rare word."""
    nowhere: float
    examined: int
    """Answers that were looked at: not those of long texts, and not those that hold no content."""
    rows: int
    """Of which they were drawn."""

    @property
    def not_in_data(self) -> float:
        """What training data alone do not teach."""
        return self.documents + self.nowhere

    def describe(self) -> str:
        """One line for the terminal."""
        return (
            f"what the answers say stands in the prompt ({self.prompt:.0%}), in other answers "
            f"({self.other_answers:.0%}), only in the documents ({self.documents:.0%}) or nowhere "
            f"({self.nowhere:.0%})"
        )


@dataclass(frozen=True, slots=True)
class _Row:
    group: str
    units: frozenset[str]
    """Of the answer."""
    instructed: frozenset[str]
    """Of all that is said before."""
    asked: frozenset[str]
    """Of what the user says."""


def find_answer_sources(
    examples: Sequence[Example], documents: Iterable[str] = (), seed: int = 0
) -> AnswerSources | None:
    """Of up to `MAX_EXAMPLES` examples, drawn by `seed`. None where no answer holds what can be found."""
    drawn: Sequence[Example] = examples
    if len(examples) > MAX_EXAMPLES:
        drawn = random.Random(seed).sample(examples, MAX_EXAMPLES)
    rows = [row for row in map(_read_row, drawn) if row.units]
    if not rows:
        return None
    learned = _OtherAnswers(rows)
    missing = [[u for u in row.units - row.instructed if not learned.foretell(u, row)] for row in rows]
    index = _Documents(documents, {word for row, units in zip(rows, missing, strict=True) if units
                                   for word in (*units, *row.asked)})  # fmt: skip
    totals: dict[str, float] = defaultdict(float)
    for row, units in zip(rows, missing, strict=True):
        weights = {unit: learned.rarity(unit) for unit in row.units}
        whole = sum(weights.values())
        found = index.find(units, row.asked)
        for unit, weight in weights.items():
            totals[_place(unit, row, units, found)] += weight / whole
    shares = {
        place: totals[place] / len(rows) for place in ("prompt", "other_answers", "documents", "nowhere")
    }
    return AnswerSources(**shares, examined=len(rows), rows=len(drawn))


def _place(unit: str, row: _Row, missing: Sequence[str], found: set[str]) -> str:
    if unit in row.instructed:
        return "prompt"
    if unit not in missing:
        return "other_answers"
    return "documents" if unit in found else "nowhere"


class _OtherAnswers:
    """What answers say to inputs that hold a certain word. Counts groups, so that copies foretell nothing."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        units_by_group: dict[str, set[str]] = defaultdict(set)
        words_by_group: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            units_by_group[row.group] |= row.units
            words_by_group[row.group] |= row.asked
        self._num_groups = len(units_by_group)
        self._units = Counter(unit for units in units_by_group.values() for unit in units)
        self._words = Counter(word for words in words_by_group.values() for word in words)
        # What is said once, or asked once, foretells nothing.
        self._together: Counter[tuple[str, str]] = Counter()
        for group, units in units_by_group.items():
            words = [word for word in words_by_group[group] if self._words[word] > 1]
            for unit in units:
                if self._units[unit] > 1:
                    self._together.update((word, unit) for word in words)

    def rarity(self, unit: str) -> float:
        """Its information in nats: the negative logarithm of the share of groups whose answers say it."""
        return math.log((self._num_groups + 1) / self._units[unit])

    def foretell(self, unit: str, row: _Row) -> bool:
        """Whether enough answers of other groups, to inputs with a word of this one or to any, say it."""
        elsewhere = self._units[unit] - 1
        if elsewhere >= PREDICTABLE * (self._num_groups + PRIOR_GROUPS):
            return True
        return elsewhere > 0 and any(
            self._together[word, unit] - 1 >= PREDICTABLE * (self._words[word] - 1 + PRIOR_GROUPS)
            for word in row.asked
        )


class _Documents:
    """Which documents hold which of the wanted words."""

    def __init__(self, documents: Iterable[str], wanted: set[str]) -> None:
        self._holding: dict[str, set[int]] = defaultdict(set)
        self._num_documents = 0
        for number, text in enumerate(documents):
            self._num_documents += 1
            for word in wanted.intersection(text_units(text)):
                self._holding[word].add(number)

    def find(self, units: Iterable[str], asked: Iterable[str]) -> set[str]:
        """Those units that stand in a document beside one of the three rarest words of the question."""
        limit = max(3, MAX_ANCHOR_SHARE * self._num_documents)
        held = [(len(self._holding[word]), word) for word in asked if word in self._holding]
        anchors = [word for count, word in sorted(held) if count <= limit][:3]
        meant = set[int]().union(*(self._holding[word] for word in anchors))
        return {unit for unit in units if unit in self._holding and meant & self._holding[unit]}


def _read_row(example: Example) -> _Row:
    units = frozenset(answer_units(example.answer))
    if not units:
        return _Row(example.group, units, units, units)
    asked = list(text_units(" ".join(message.content for message in example.turns)))
    instructed = _unit_set(example.instruction or "").union(asked)
    return _Row(example.group, units, instructed, frozenset(asked[-MAX_PROMPT_WORDS:]))


@lru_cache(maxsize=64)
def _unit_set(instruction: str) -> frozenset[str]:
    """Most rows share theirs."""
    return frozenset(text_units(instruction))
