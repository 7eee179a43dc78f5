"""What every engine must do, whatever runs below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tunewise.records import ChatRequest, Completion, Message, TokenLogprob, Tool, ToolCall


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer. The last one has `completion` set and may carry no text."""

    text: str
    completion: Completion | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    """The tokens that begin in `text`, where the request asked for them."""
    index: int = 0
    """Which of the requests that were streamed together it answers."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The calls that are whole since the last piece."""


class Answers(Protocol):
    """Answers under way: an iterator over their deltas in the order they come."""

    def __iter__(self) -> Iterator[Delta]: ...

    def __next__(self) -> Delta: ...

    def close(self) -> None:
        """Cancel what is not finished. Never blocks; from any thread, it also ends a `next` that waits."""


class Scorer(Protocol):
    """Says what a model makes of an answer that is given to it, behind the turns that it answers."""

    def score(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[float]:
        """Natural-log probabilities of the tokens of an answer, the last of `messages`, and its end."""

    def token_ids(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The prompt's ids, as they are sent to be answered, and behind them those that `score` scores."""


class Engine(Scorer, Protocol):
    """Answers chat requests for the base and for any number of adapters, together.

    `base_id` is the model id under which the base itself is asked. A request that names a model which is
    not loaded raises `ModelNotFoundError`; one that does not fit the context raises `RequestError`.
    """

    base_id: str
    precision: str
    """What it computes in: `float32`, `bfloat16`, or `unknown`."""

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """The answers to all requests, in their order. `on_done` hears of each index as it finishes.

        However many there are, they are never too many. A request that `check` would refuse does not stop
        the others: its completion has `error` set.
        """

    def check(self, request: ChatRequest) -> None:
        """Raise what is wrong with a request, if anything is, without answering it."""

    def stream(self, *requests: ChatRequest, whole: bool = False) -> Answers:
        """Answer one request, or some together, piece by piece; with `whole`, in one piece each.

        Errors in a request are raised here, and so is `OverloadedError` where too many wait already.
        """

    def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """How many tokens these messages are as a prompt of this model."""

    def count_answer_tokens(self, model: str, answer: str) -> int:
        """How many tokens the model must write to give this answer, its end of turn included."""

    def load(self, model: str, path: Path) -> None:
        """Make the adapter in the folder `path` answer under the id `model`."""

    def unload(self, model: str) -> None:
        """Forget an adapter."""

    def models(self) -> list[str]:
        """The ids that can be asked now, the base first."""

    def rest(self) -> None:
        """Leave the machine to others for a while. What is asked next may take long to begin."""

    def close(self) -> None:
        """Answer nothing more; requests under way fail or end."""
