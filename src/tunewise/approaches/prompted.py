"""Prompts that send the same messages before every input: an instruction, worked examples, or nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tunewise.approaches.names import FINE_TUNED
from tunewise.chat.turns import fold_system, put_under
from tunewise.records import Example, Grammar, Message


class Prompted:
    """An `Approach` that sends fixed messages before each input."""

    def __init__(
        self,
        name: str,
        model: str,
        instruction: str | None = None,
        shots: Sequence[Example] = (),
        grammar: Grammar | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.instruction = instruction
        self.shots = tuple(shots)
        self.grammar = grammar

    @property
    def num_shots(self) -> int:
        """How many examples are shown."""
        return len(self.shots)

    def rotate_shots(self, places: int) -> Prompted:
        """The same with the first `places` of its shots behind the others."""
        shots = (*self.shots[places:], *self.shots[:places])
        return Prompted(self.name, self.model, self.instruction, shots, self.grammar)

    def messages(self, example: Example) -> tuple[Message, ...]:
        """The instruction as system message, the shots as earlier turns, and the example's own turns."""
        if not self.shots:
            return put_under(self.instruction, example.turns)
        shown = [turn for shot in self.shots for turn in (*fold_system(shot.turns), shot.messages[-1])]
        return put_under(self.instruction, (*shown, *fold_system(example.turns)))


def fine_tuned(model: str) -> Prompted:
    """The input alone, to a model that was trained to need no more."""
    return Prompted(FINE_TUNED, model)


def draw_shots(train: Sequence[Example], number: int, seed: int) -> list[Example]:
    """`number` training examples with different answers where there are enough; fewer shots are a prefix."""
    order = random.Random(seed).sample(list(train), len(train))
    seen: set[str] = set()
    fresh: list[Example] = []
    repeated: list[Example] = []
    for example in order:
        (repeated if example.answer in seen else fresh).append(example)
        seen.add(example.answer)
    return [*fresh, *repeated][:number]
