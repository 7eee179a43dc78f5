"""Choices that belong to the prompted rivals, made on validation: the test set is not for choosing."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tunewise.approaches.rivals import PromptSetup, build
from tunewise.approaches.shown import Shown
from tunewise.engines.base import Engine
from tunewise.evaluate.runner import Decoding, ScoredRun, ask_together
from tunewise.progress import Progress
from tunewise.records import Example, Grammar, Score

ROUNDS = (12, 36)
"""How many validation examples the candidates of each round have been asked about at its end."""


@dataclass(frozen=True, slots=True)
class PromptChoice:
    """What validation said about prompting."""

    setups: dict[str, PromptSetup] = field(default_factory=dict)
    """The best one of each rival, by its name, in the order in which they were tried."""
    scores: dict[str, float] = field(default_factory=dict)
    """Mean primary metric on validation, by the setup's label, the best first."""
    calls: int = 0
    """How many were made to find this out."""

    @property
    def ranking(self) -> tuple[str, ...]:
        """The rivals, best first."""
        names = {setup.label: name for name, setup in self.setups.items()}
        return tuple(names[label] for label in self.scores if label in names)

    @property
    def best(self) -> str | None:
        """The best rival; None when none was asked for."""
        return next(iter(self.ranking), None)

    def best_without(self, names: Collection[str]) -> str | None:
        """The best rival that is none of these."""
        return next((name for name in self.ranking if name not in names), None)

    def joined(self, other: PromptChoice) -> PromptChoice:
        """Both choices as one. Each keeps its own order, and of equals those of `self` come first."""
        # Takes the better of the two that come next, whatever comes behind them.
        both = heapq.merge(self.scores.items(), other.scores.items(), key=lambda scored: -scored[1])
        return PromptChoice(self.setups | other.setups, dict(both), self.calls + other.calls)

    def describe(self) -> str:
        """What was tried and what is tested."""
        if not self.setups:
            return "prompts: none was asked for"
        chosen = "; ".join(setup.label for setup in self.setups.values())
        return f"prompts: {len(self.scores)} tried on validation in {self.calls} calls; tested are {chosen}"

    def to_json(self) -> dict[str, Any]:
        """For the run folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PromptChoice:
        """The inverse of `to_json`."""
        setups = {name: _read_setup(setup) for name, setup in value["setups"].items()}
        return cls(setups, value["scores"], value["calls"])


def choose_prompts(
    setups: Sequence[PromptSetup],
    shown: Shown,
    validation: Sequence[Example],
    engine: Engine,
    decoding: Decoding,
    metric: str,
    progress: Progress,
) -> PromptChoice:
    """Try every setup within a fixed number of calls. One that does not fit the context scores 0.

    Successive halving (Jamieson & Talwalkar 2016): the better half goes on to more examples. One that stayed
    longer is better than one that was dropped before; of equals the one listed first wins.
    """
    candidates = {setup.label: build(setup, shown) for setup in setups}
    by_label = {setup.label: setup for setup in setups}
    scores: dict[str, list[Score]] = {label: [] for label in candidates}
    left, asked = list(candidates), 0
    for num_setups, num_examples in plan_rounds(len(setups), len(validation)):
        left = left[:num_setups]
        examples = validation[asked : asked + num_examples]
        prompts = [candidates[label] for label in left]
        calls = len(left) * len(examples)
        with progress.task(f"choosing among {len(left)} prompts on validation", calls) as task:
            answered, _ = ask_together(prompts, examples, engine, decoding, task.advance)
        for label, of_prompt in zip(left, answered, strict=True):
            scores[label].extend(of_prompt)
        asked += num_examples
        # sorted() is stable: of equals, the one listed first stays.
        left = sorted(left, key=lambda label: -_mean(scores[label], metric))
    means = {label: _mean(scores[label], metric) for label in scores}
    best_first = sorted(means, key=lambda label: (-len(scores[label]), -means[label]))
    best_of_rival: dict[str, PromptSetup] = {}
    for label in best_first:
        best_of_rival.setdefault(by_label[label].rival, by_label[label])
    return PromptChoice(
        # In the order given, which is that of their cost.
        setups={setup.rival: best_of_rival[setup.rival] for setup in setups},
        scores={label: means[label] for label in best_first},
        calls=sum(map(len, scores.values())),
    )


def plan_rounds(num_setups: int, num_examples: int) -> list[tuple[int, int]]:
    """For each round of `choose_prompts`, how many setups it asks about how many further examples."""
    ends = [min(until, num_examples) for until in ROUNDS]
    sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
    return [
        (math.ceil(num_setups / 2**halvings), size)
        for halvings, size in enumerate(sizes)
        if size > 0 and num_setups > 0
    ]


def _mean(scores: Sequence[Score], metric: str) -> float:
    return ScoredRun(tuple(scores), 0.0).score(metric)


def _read_setup(value: Mapping[str, Any]) -> PromptSetup:
    grammar = value["grammar"]
    return PromptSetup(**{**value, "grammar": Grammar(**grammar) if grammar else None})
