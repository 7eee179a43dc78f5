"""A deterministic engine without a model: it answers with the model's id and the question's words."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from tunewise.engines.base import Delta
from tunewise.errors import ModelNotFoundError, OverloadedError, RequestError
from tunewise.records import ChatRequest, Completion, Message, TokenLogprob, Tool


def _logprobs_of(token: str, num_top: int | None) -> tuple[TokenLogprob, ...]:
    """Each token has the probability 1/e, and so have its alternatives."""
    if num_top is None:
        return ()
    top = tuple(TokenLogprob(token.encode()[: i + 1], -1.0) for i in range(num_top))
    return (TokenLogprob(token.encode(), -1.0, top),)


class EchoAnswers:
    """Deltas that can be closed while they are waited for."""

    def __init__(self, deltas: Iterator[Delta], *closed: threading.Event) -> None:
        self._deltas = deltas
        self._closed = closed

    def __iter__(self) -> Iterator[Delta]:
        return self

    def __next__(self) -> Delta:
        return next(self._deltas)

    def close(self) -> None:
        for event in self._closed:
            event.set()


class EchoEngine:
    """Answers `<model>: <last message>`, a word per token; some questions make it misbehave."""

    def __init__(self, base_id: str = "echo") -> None:
        self.base_id = base_id
        self.requests: list[ChatRequest] = []
        self.loaded: list[tuple[str, Path]] = []
        self.closed = threading.Event()
        self.waiting = threading.Event()
        self.loading_may_end = threading.Event()
        self.loading_may_end.set()
        self.two_at_once = threading.Barrier(2, timeout=20)

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        raise AssertionError("a server streams, as only streams can be cancelled and refused")

    def check(self, request: ChatRequest) -> None:
        if request.messages[-1].content == "too long":
            raise RequestError("the prompt does not fit", param="messages")

    def stream(self, *requests: ChatRequest, whole: bool = False) -> EchoAnswers:
        for request in requests:
            if request.model not in self.models():
                raise ModelNotFoundError(f"{request.model} is not loaded")
            self.check(request)
        if requests[0].messages[-1].content == "too many":
            raise OverloadedError("7 requests wait already")
        self.requests += requests
        # One of its own, so that answers which are closed late do not end those of the next test.
        closed = threading.Event()
        deltas = zip_longest(*(self._answer(request, i, closed) for i, request in enumerate(requests)))
        interleaved = (delta for step in deltas for delta in step if delta is not None)
        return EchoAnswers((d for d in interleaved if d.completion or not whole), closed, self.closed)

    def _answer(self, request: ChatRequest, index: int, closed: threading.Event) -> Iterator[Delta]:
        question = request.messages[-1].content
        input_tokens = self.count_tokens(request.model, request.messages)
        if question == "bug":
            raise KeyError("a secret of the house")
        if question == "meet":
            self.two_at_once.wait()
        if question in ("for ever", "silence"):
            yield from self._go_on("drip " if question == "for ever" else "", closed)
        words = f"{request.model}: {question}".split(" ")
        kept = words[: request.max_tokens]
        tokens = [word if number == 0 else f" {word}" for number, word in enumerate(kept)]
        logprobs = tuple(_logprobs_of(token, request.top_logprobs) for token in tokens)
        for token, logprob in zip(tokens, logprobs, strict=True):
            if token == " break":
                raise KeyError("a secret of the house")
            yield Delta(token, logprobs=logprob, index=index)
        if question == "fail":
            failed = Completion("", "error", input_tokens, 0, 1.0, error="out of memory")
            yield Delta("", failed, index=index)
            return
        reason: Literal["stop", "length"] = "stop" if kept == words else "length"
        told = sum(logprobs, ())
        completion = Completion(" ".join(kept), reason, input_tokens, len(kept), 1.0, logprobs=told)
        yield Delta("", completion, index=index)

    def _go_on(self, text: str, closed: threading.Event) -> Iterator[Delta]:
        self.waiting.set()
        while not closed.wait(0.01):
            if text:
                yield Delta(text)

    def score(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[float]:
        return [-1.0 for _ in messages[-1].content.split()]

    def token_ids(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        words = " ".join(message.content for message in messages).split()
        return [len(word) for word in words]

    def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def count_answer_tokens(self, model: str, answer: str) -> int:
        return len(answer.split()) + 1

    def load(self, model: str, path: Path) -> None:
        assert self.loading_may_end.wait(20)
        self.loaded.append((model, path))

    def unload(self, model: str) -> None:
        self.loaded = [(name, path) for name, path in self.loaded if name != model]

    def models(self) -> list[str]:
        return [self.base_id, *(name for name, _ in self.loaded)]
