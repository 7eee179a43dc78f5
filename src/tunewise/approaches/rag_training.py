"""Training examples for `fine-tuned-rag`: laid out as at test time, and not always with the right passages.

Whoever is always shown the answer learns to copy whatever stands in a certain place. So some rows get a
passage drawn at random among theirs, and some lose those that hold the answer (Zhang et al. 2024, "RAFT:
Adapting Language Model to Domain Specific RAG", who leave the right document out of up to a fifth).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tunewise.approaches.base import Fits
from tunewise.approaches.rag import add_what_fits
from tunewise.records import Example
from tunewise.retrieval.hits import holds_any, sought_phrases
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import MAX_RESULTS, Retriever

DISTRACTED_SHARE = 0.3
"""Of the rows get a random passage in place of one that does not hold the answer."""
WITHHELD_SHARE = 0.1
"""Of the rows lose the passages that hold the answer, and get those that were found next."""


Kind = Literal["as found", "distracted", "withheld"]


@dataclass(frozen=True, slots=True)
class ExamplesWithPassages:
    """The examples as `fine-tuned-rag` asks them, and what became of them."""

    examples: tuple[Example, ...]
    """In their order, under their own ids."""
    num_answered: int
    """Whose passages hold a part of the answer that the prompt does not."""
    num_distracted: int
    num_withheld: int
    num_shortened: int
    """For which fewer or shorter passages had to do."""

    def describe(self) -> str:
        """One line for the terminal."""
        return (
            f"{len(self.examples)} rows with passages, which hold the answer in {self.num_answered}; a "
            f"random one among them in {self.num_distracted}, right ones withheld in {self.num_withheld}, "
            f"shortened to fit in {self.num_shortened}"
        )


def give_passages(
    examples: Sequence[Example],
    passages: Retriever[Passage],
    num_passages: int,
    fits: Fits,
    seed: int | None,
) -> ExamplesWithPassages:
    """The examples laid out as `Rag` does it; those to train on with the `seed` that draws whom to disturb.

    Validation examples get None, and their passages as they were found. Each is drawn for by itself, so that
    no other row changes it. `fits` says what training takes.
    """
    passages.prepare(examples)
    made: list[Example] = []
    kinds: Counter[Kind] = Counter()
    num_answered = num_shortened = 0
    for example in examples:
        phrases = sought_phrases(example)
        kind, chosen = _choose_passages(example, phrases, passages, num_passages, seed)
        prompt, is_shortened = add_what_fits(example.prompt, chosen, example, fits)
        made.append(replace(example, messages=(*prompt, example.messages[-1])))
        kinds[kind] += 1
        num_answered += any(holds_any(passage, phrases) for passage in chosen)
        num_shortened += is_shortened
    return ExamplesWithPassages(
        tuple(made), num_answered, kinds["distracted"], kinds["withheld"], num_shortened
    )


def _choose_passages(
    example: Example, phrases: Sequence[str], passages: Retriever[Passage], number: int, seed: int | None
) -> tuple[Kind, Sequence[Passage]]:
    found = passages.find(example, MAX_RESULTS)
    shown = list(found[:number])
    if seed is None:
        return "as found", shown
    dice = random.Random(f"{seed} passages {example.id}")
    drawn = dice.random()
    wrong = [passage for passage in found if not holds_any(passage, phrases)]
    if drawn < WITHHELD_SHARE and wrong[:number] != shown:
        return "withheld", wrong[:number]
    stranger = dice.choice(passages.items)
    places = [place for place, passage in enumerate(shown) if passage in wrong]
    is_wrong = stranger not in shown and not holds_any(stranger, phrases)
    if WITHHELD_SHARE <= drawn < WITHHELD_SHARE + DISTRACTED_SHARE and places and is_wrong:
        shown[dice.choice(places)] = stranger
        return "distracted", shown
    return "as found", shown
