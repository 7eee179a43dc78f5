"""What every rival must do. Decoding, stop rule and answer parser are the runner's, the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

from tunewise.records import Example, Grammar, Message

ApproachName = Literal[
    "majority",
    "pattern-majority",
    "nearest-copy",
    "zero-shot",
    "instructed",
    "few-shot",
    "few-shot-nearest",
    "rag",
    "fine-tuned",
    "fine-tuned-rag",
    "from-scratch",
]
APPROACHES: tuple[ApproachName, ...] = get_args(ApproachName)
"""The rivals of a run, in the order they run."""

Messages = tuple[Message, ...]
Fits = Callable[[Messages, Example], bool]
"""Whether the messages, sent for this example, leave room for an answer."""


class Approach(Protocol):
    """A way of asking a model: which model, and with what messages."""

    @property
    def name(self) -> str:
        """As it stands in `verdict.json`."""

    @property
    def model(self) -> str:
        """The id of the model to ask."""

    @property
    def grammar(self) -> Grammar | None:
        """What its answers are held to, as `ChatRequest` has it; None leaves them free."""

    def prepare(self, examples: Sequence[Example]) -> None:
        """Look up at once what all of these are shown. What is missing `messages` looks up itself, slowly."""

    def messages(self, example: Example) -> Messages:
        """What to send for this example. Looks at its prompt only, never at its answer."""


class Floor(Protocol):
    """A trivial rival that needs no model: beating it is the least that a model must do."""

    @property
    def name(self) -> str:
        """As it stands in `verdict.json`."""

    def prepare(self, train: Sequence[Example]) -> None:
        """Look at the examples it may copy from. Never sees the test set."""

    def answer(self, example: Example) -> str:
        """The answer, without asking any model. Looks at the example's prompt only."""
