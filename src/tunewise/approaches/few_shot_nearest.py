"""The rival that shows, before each input, the training examples most like it."""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.approaches.base import Fits, Messages
from tunewise.approaches.prompted import choose_fitting_shots, lay_out_shots, rotate
from tunewise.records import Example, Grammar
from tunewise.retrieval.retriever import Retriever


class FewShotNearest:
    """`few-shot` with other shots for each input; the nearest stands last, beside the input.

    Liu et al. 2022, "What Makes Good In-Context Examples for GPT-3?".
    """

    name = "few-shot-nearest"

    def __init__(
        self,
        model: str,
        instruction: str | None,
        train: Retriever[Example],
        num_shots: int,
        grammar: Grammar | None = None,
        fits: Fits | None = None,
        rotation: int = 0,
    ) -> None:
        """`fits` and `rotation` as `Prompted` has them."""
        self.model = model
        self.grammar = grammar
        self.instruction = instruction
        self.num_shots = num_shots
        self._train = train
        self._fits = fits
        self._rotation = rotation

    def rotate_shots(self, places: int) -> FewShotNearest:
        """The same with the `places` least similar of its shots behind the others."""
        return FewShotNearest(
            self.model, self.instruction, self._train, self.num_shots, self.grammar, self._fits, places
        )

    def prepare(self, examples: Sequence[Example]) -> None:
        """The shots of all."""
        self._train.prepare(examples)

    def messages(self, example: Example) -> Messages:
        """As `few-shot` has them, without the least similar where not all fit.

        A training example is no shot for itself.
        """
        near = self._train.find(example, self.num_shots + 1)
        shots = [shot for shot in near if shot.id != example.id][: self.num_shots]

        def lay_out(nearest: Sequence[Example]) -> Messages:
            return lay_out_shots(self.instruction, rotate(nearest[::-1], self._rotation), example)

        return lay_out(choose_fitting_shots(shots, lay_out, example, self._fits))
