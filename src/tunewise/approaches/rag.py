"""The rivals that put retrieved passages before each input.

| name | messages | model |
|---|---|---|
| `rag` | the instruction, maybe worked examples, then the input with its passages | base |
| `fine-tuned-rag` | the input with its passages | tuned on such inputs |

In both, and in training, the last user turn is laid out as

    Passages that may help:

    [1] the third-best passage

    [2] the second-best

    [3] the best

    Input: what the user typed

The best stands beside the input, as models use the middle of a long prompt least (Liu et al. 2024, "Lost in
the Middle"). Worked examples stand before as earlier turns, without passages of their own. Where not all
fits, they go before passages do: these hold the answer, those show what it looks like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunewise.approaches.base import Fits, Messages
from tunewise.approaches.prompted import choose_fitting_shots, lay_out_shots, rotate
from tunewise.engines.base import Engine
from tunewise.errors import RequestError
from tunewise.records import ChatRequest, Example, Grammar
from tunewise.retrieval.passages import Passage
from tunewise.retrieval.retriever import Retriever

_LEAST_WORDS = 20
"""A passage that has to be cut to fewer is left out."""


class Rag:
    """An `Approach` that sends each input with the passages found for it."""

    def __init__(
        self,
        name: str,
        model: str,
        instruction: str | None,
        passages: Retriever[Passage],
        num_passages: int,
        fits: Fits,
        grammar: Grammar | None = None,
        shots: Sequence[Example] = (),
        rotation: int = 0,
    ) -> None:
        """`shots` and `rotation` as `Prompted` has them."""
        self.name = name
        self.model = model
        self.grammar = grammar
        self.instruction = instruction
        self.num_passages = num_passages
        self.shortened_ids: set[str] = set()
        """The examples for which fewer or shorter passages had to do, so far."""
        self._passages = passages
        self._fits = fits
        self._shots = tuple(shots)
        self._rotation = rotation

    @property
    def num_shots(self) -> int:
        """How many examples are shown where there is room."""
        return len(self._shots)

    def rotate_shots(self, places: int) -> Rag:
        """The same with the first `places` of its shots behind the others."""
        return Rag(
            self.name,
            self.model,
            self.instruction,
            self._passages,
            self.num_passages,
            self._fits,
            self.grammar,
            self._shots,
            places,
        )

    def prepare(self, examples: Sequence[Example]) -> None:
        """The passages of all."""
        self._passages.prepare(examples)

    def messages(self, example: Example) -> Messages:
        """The instruction, the shots, and the example's own turns with the passages in the last."""
        found = self._passages.find(example, self.num_passages)

        def lay_out(shots: Sequence[Example]) -> Messages:
            return lay_out_shots(self.instruction, rotate(shots, self._rotation), example)

        shots = choose_fitting_shots(
            self._shots, lambda shots: add_passages(lay_out(shots), found), example, self._fits
        )
        messages, is_shortened = add_what_fits(lay_out(shots), found, example, self._fits)
        if is_shortened:
            self.shortened_ids.add(example.id)
        return messages


def fine_tuned_rag(model: str, passages: Retriever[Passage], num_passages: int, fits: Fits) -> Rag:
    """A model tuned on what `rag_training.give_passages` makes, which needs no instruction any more."""
    return Rag("fine-tuned-rag", model, None, passages, num_passages, fits)


def fits_engine(engine: Engine, model: str, max_tokens: int) -> Fits:
    """Whether the engine would take it, with an answer of up to `max_tokens`."""

    def fits(messages: Messages, example: Example) -> bool:
        try:
            engine.check(ChatRequest(model, messages, max_tokens, tools=example.tools))
        except RequestError:
            return False
        return True

    return fits


def add_what_fits(
    messages: Messages, passages: Sequence[Passage], example: Example, fits: Fits
) -> tuple[Messages, bool]:
    """`messages` with as many of the passages, best first, as fit; and whether any had to be left out or cut.

    If even the best does not fit whole, it is halved until it does.
    """
    for number in range(len(passages), 0, -1):
        laid_out = add_passages(messages, passages[:number])
        if fits(laid_out, example):
            return laid_out, number < len(passages)
    words = passages[0].text.split() if passages else []
    while len(words) >= 2 * _LEAST_WORDS:
        words = words[: len(words) // 2]
        laid_out = add_passages(messages, [replace(passages[0], text=" ".join(words))])
        if fits(laid_out, example):
            return laid_out, True
    return messages, bool(passages)


def add_passages(messages: Messages, passages: Sequence[Passage]) -> Messages:
    """`messages` with the passages, given best first, in the last user turn, laid out as the module says."""
    turns = [place for place, message in enumerate(messages) if message.role == "user"]
    if not passages or not turns:
        return messages
    last = messages[turns[-1]]
    listed = [f"[{number}] {passage.text}" for number, passage in enumerate(reversed(passages), start=1)]
    content = "\n\n".join(["Passages that may help:", *listed, f"Input: {last.content}"])
    return (*messages[: turns[-1]], replace(last, content=content), *messages[turns[-1] + 1 :])
