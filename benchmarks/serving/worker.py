"""The engine's side of `serving.process`: calls come in as lines of JSON, results go out as such.

Imports nothing but the standard library, because vLLM's worker runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Prompt:
    """A conversation, and the token ids that it is as a prompt, for engines that are given ids."""

    messages: list[tuple[Role, str]]
    """With their contents."""
    ids: list[int]


@dataclass(frozen=True)
class Turn:
    """What an engine did with the prompts of one turn, all asked at once."""

    seconds: float
    tokens: int
    """Written, over all streams."""
    first_token_seconds: list[float]
    """From the start of the turn until each stream's first token was there; empty for whole answers."""
    texts: list[str] = field(default_factory=list)
    """The answers, where they end by themselves."""

    @property
    def tokens_per_second(self) -> float:
        """Of all streams together."""
        return self.tokens / self.seconds

    @property
    def median_first_token_seconds(self) -> float:
        """Over the streams."""
        return median(self.first_token_seconds)

    def describe(self) -> str:
        """For the terminal."""
        return (
            f"{self.tokens_per_second:.1f} tokens/s, "
            f"first token after {self.median_first_token_seconds:.2f} s"
        )


def answer_calls(start: Callable[..., Any], replies: str, *arguments: str) -> None:
    """Start an engine, and call those of its methods that arrive on standard input until that is closed.

    `replies` is the number of the open file that replies go to: libraries print to standard output.
    """
    engine = start(*arguments)
    with os.fdopen(int(replies), "w") as file:
        print(json.dumps({"result": "ready"}), file=file, flush=True)
        for line in sys.stdin:
            call = json.loads(line)
            try:
                reply = {"result": _call(engine, call["method"], call["arguments"])}
            except Exception:
                reply = {"error": traceback.format_exc()}
            print(json.dumps(reply), file=file, flush=True)


def _call(engine: Any, method: str, arguments: dict[str, Any]) -> Any:
    if "prompts" in arguments:
        arguments["prompts"] = [Prompt(**prompt) for prompt in arguments["prompts"]]
    result = getattr(engine, method)(**arguments)
    return asdict(result) if isinstance(result, Turn) else result
