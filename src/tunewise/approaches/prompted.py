"""Prompts that send the same messages before every input: an instruction, worked examples, or nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tunewise.approaches.base import Fits, Messages
from tunewise.approaches.names import FINE_TUNED
from tunewise.chat.turns import fold_system, put_under
from tunewise.records import Example, Grammar


class Prompted:
    """An `Approach` that sends fixed messages before each input."""

    def __init__(
        self,
        name: str,
        model: str,
        instruction: str | None = None,
        shots: Sequence[Example] = (),
        grammar: Grammar | None = None,
        fits: Fits | None = None,
        rotation: int = 0,
    ) -> None:
        """`rotation` as `rotate_shots` says. Without `fits` all shots are sent, whatever room there is."""
        self.name = name
        self.model = model
        self.instruction = instruction
        self.shots = tuple(shots)
        self.grammar = grammar
        self._fits = fits
        self._rotation = rotation

    @property
    def num_shots(self) -> int:
        """How many examples are shown where there is room."""
        return len(self.shots)

    def rotate_shots(self, places: int) -> Prompted:
        """The same with the first `places` of its shots behind the others."""
        return Prompted(
            self.name, self.model, self.instruction, self.shots, self.grammar, self._fits, rotation=places
        )

    def prepare(self, examples: Sequence[Example]) -> None:
        """Nothing: the same is shown for all."""

    def messages(self, example: Example) -> Messages:
        """The instruction, as many of the first shots as fit, and the example's own turns."""

        def lay_out(shots: Sequence[Example]) -> Messages:
            return lay_out_shots(self.instruction, rotate(shots, self._rotation), example)

        return lay_out(choose_fitting_shots(self.shots, lay_out, example, self._fits))


def fine_tuned(model: str) -> Prompted:
    """The input alone, to a model that was trained to need no more."""
    return Prompted(FINE_TUNED, model)


def lay_out_shots(instruction: str | None, shots: Sequence[Example], example: Example) -> Messages:
    """The instruction as system message, the shots as earlier turns, and the example's own turns."""
    if not shots:
        return put_under(instruction, example.turns)
    shown = [turn for shot in shots for turn in (*fold_system(shot.turns), shot.messages[-1])]
    return put_under(instruction, (*shown, *fold_system(example.turns)))


def choose_fitting_shots(
    shots: Sequence[Example],
    lay_out: Callable[[Sequence[Example]], Messages],
    example: Example,
    fits: Fits | None,
) -> Sequence[Example]:
    """As many of the shots, the first ones, as fit when `lay_out` has laid them out; if need be none."""
    if fits is None:
        return shots
    fewer = (shots[:number] for number in range(len(shots), 0, -1))
    return next((kept for kept in fewer if fits(lay_out(kept), example)), ())


def rotate(shots: Sequence[Example], places: int) -> tuple[Example, ...]:
    """The same with the first `places` behind the others."""
    return (*shots[places:], *shots[:places])


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
