"""How often passages that are found hold the answer: whether documents help, before a model is asked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean

from tunewise.data.content import answer_phrases, text_units
from tunewise.records import Example
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import Retriever

RANDOM_DRAWS = 4
"""Sets of random passages for each example, so that chance is known better than what it is compared with."""


@dataclass(frozen=True, slots=True)
class HitRate:
    """How much of the answers stands in the passages: of each answer the share of its phrases, on average."""

    num_passages: int
    """For each example."""
    hit: float
    """In the passages that were retrieved."""
    random_hit: float
    """In as many passages drawn at random: what common words and numbers give by chance."""
    num_examined: int
    """Examples whose answer says something that its prompt does not."""
    is_telling: bool
    """Whether random passages can be told from retrieved ones: these are at most half of all there are."""

    @property
    def lift(self) -> float | None:
        """What retrieval gives beyond chance; None where it cannot be told."""
        return self.hit - self.random_hit if self.is_telling else None


def measure_hits(
    retriever: Retriever[Passage], examples: Sequence[Example], num_passages: int, seed: int
) -> HitRate | None:
    """The hit rate at `num_passages`. None where no answer says anything that its prompt does not.

    A phrase is a short answer, or a short value in a JSON answer; of longer ones each number and name
    (`data.content`). `seed` draws the random passages.
    """
    own, by_chance = held_shares(retriever, examples, num_passages), []
    for example in examples:
        if example.id not in own:
            continue
        phrases = sought_phrases(example)
        dice = random.Random(f"{seed} {example.id}")
        number = min(num_passages, len(retriever.items))
        for _ in range(RANDOM_DRAWS):
            by_chance.append(held_share(dice.sample(retriever.items, number), phrases))
    if not own:
        return None
    is_telling = 2 * num_passages <= len(retriever.items)
    return HitRate(num_passages, mean(own.values()), mean(by_chance), len(own), is_telling)


def held_shares(
    retriever: Retriever[Passage], examples: Sequence[Example], num_passages: int
) -> dict[str, float]:
    """By example id, the share of its answer's phrases that the passages retrieved for it hold.

    Without the examples whose answer says nothing that its prompt does not.
    """
    retriever.prepare(examples)
    sought = {example: phrases for example in examples if (phrases := sought_phrases(example))}
    return {
        example.id: held_share(retriever.find(example, num_passages), phrases)
        for example, phrases in sought.items()
    }


def sought_phrases(example: Example) -> list[str]:
    """What the answer says and the prompt does not, each phrase as its words and numbers."""
    prompt = _searchable("\n".join(message.content for message in example.prompt))
    phrases = dict.fromkeys(f" {' '.join(phrase)} " for phrase in answer_phrases(example.answer))
    return [phrase for phrase in phrases if phrase not in prompt]


def holds_any(passage: Passage, phrases: Iterable[str]) -> bool:
    """Whether one of the phrases stands in the passage."""
    return any(phrase in _searchable(passage.text) for phrase in phrases)


def held_share(passages: Iterable[Passage], phrases: Sequence[str]) -> float:
    """The share of the phrases that stand in one of the passages."""
    texts = [_searchable(passage.text) for passage in passages]
    return mean(any(phrase in text for text in texts) for phrase in phrases)


@lru_cache(maxsize=100_000)
def _searchable(text: str) -> str:
    return f" {' '.join(text_units(text))} "
