"""The engine's side of `serving.process`: calls come in as lines of JSON, results go out as such.

Imports nothing but the standard library, because vLLM's worker runs in an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict, dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


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
    """From the start of the turn until each stream's first token was there."""


def answer_calls(engine: Any) -> None:
    """Call the methods of `engine` that arrive on standard input, until it is closed."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    # Whatever a library prints must not come between the replies.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    print(json.dumps({"result": "ready"}), file=replies, flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        try:
            reply = {"result": _call(engine, call["method"], call["arguments"])}
        except Exception:
            reply = {"error": traceback.format_exc()}
        print(json.dumps(reply), file=replies, flush=True)


def _call(engine: Any, method: str, arguments: dict[str, Any]) -> Any:
    if "prompts" in arguments:
        arguments["prompts"] = [Prompt(**prompt) for prompt in arguments["prompts"]]
    result = getattr(engine, method)(**arguments)
    return asdict(result) if isinstance(result, Turn) else result
