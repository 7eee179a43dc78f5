"""What every measurement works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.process import EngineProcess
from serving.prompts import Prompts
from serving.worker import Turn


@dataclass(frozen=True)
class Bench:
    """The engines, all loaded and standing still, and how long to measure them."""

    ours: EngineProcess
    peers: Sequence[EngineProcess]
    absent: Mapping[str, str]
    """Why peers that belong to the comparison cannot be in it, by their names."""
    linear: EngineProcess
    prompts: Prompts
    new_tokens: int
    rounds: int

    def linear_share(self, turn: Turn, streams: int) -> float:
        """The part of a turn's time that the linear layers alone would take for its new tokens."""
        seconds: float = self.linear.call("seconds", rows=streams)
        return seconds * turn.tokens / streams / turn.seconds
