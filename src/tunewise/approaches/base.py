"""What every rival must do. Decoding, stop rule and answer parser are the runner's, the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tunewise.records import ChatRequest, Example


class Approach(Protocol):
    """A way of getting answers from a model."""

    name: str

    def prepare(self, train: Sequence[Example], validation: Sequence[Example]) -> None:
        """Look at the examples this approach may learn from. Never sees the test set."""

    def request(self, example: Example) -> ChatRequest:
        """What to ask for this example. Looks at `example.prompt` only, never at its answer."""


class Floor(Protocol):
    """A trivial rival that needs no model: beating it is the least that a model must do."""

    name: str

    def prepare(self, train: Sequence[Example], validation: Sequence[Example]) -> None:
        """Look at the examples it may copy from."""

    def answer(self, example: Example) -> str:
        """The answer, without asking anything of a model. Looks at `example.prompt` only."""
