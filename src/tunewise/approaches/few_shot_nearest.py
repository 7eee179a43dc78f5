"""The rival that shows, before each input, the training examples most like it."""

from __future__ import annotations

from tunewise.approaches.prompted import Prompted
from tunewise.records import Example, Grammar, Message
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
        rotation: int = 0,
    ) -> None:
        """`rotation` as `rotate_shots` says."""
        self.model = model
        self.grammar = grammar
        self.instruction = instruction
        self.num_shots = num_shots
        self._train = train
        self._rotation = rotation

    def rotate_shots(self, places: int) -> FewShotNearest:
        """The same with the `places` least similar of its shots behind the others."""
        return FewShotNearest(
            self.model, self.instruction, self._train, self.num_shots, self.grammar, rotation=places
        )

    def messages(self, example: Example) -> tuple[Message, ...]:
        """As `few-shot` has them. A training example is no shot for itself."""
        near = self._train.find(example, self.num_shots + 1)
        shots = [shot for shot in near if shot.id != example.id][: self.num_shots]
        prompt = Prompted(self.name, self.model, self.instruction, shots[::-1])
        return prompt.rotate_shots(self._rotation).messages(example)
