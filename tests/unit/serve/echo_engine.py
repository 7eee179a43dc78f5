"""A deterministic engine without a model: it answers with the model's id and the question's words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from tunewise.engines.base import Delta
from tunewise.errors import ModelNotFoundError, RequestError
from tunewise.records import ChatRequest, Completion, Message


class EchoEngine:
    """Answers `<model>: <last message>`, a word per token; some questions make it misbehave."""

    def __init__(self, base_id: str = "echo") -> None:
        self.base_id = base_id
        self.requests: list[ChatRequest] = []
        self.loaded: list[tuple[str, Path]] = []
        self.closed = threading.Event()
        self.loading_may_end = threading.Event()
        self.loading_may_end.set()
        self.two_at_once = threading.Barrier(2, timeout=20)

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        return [self._complete(request) for request in requests]

    def _complete(self, request: ChatRequest) -> Completion:
        try:
            self.check(request)
        except RequestError as error:
            return Completion("", "error", 0, 0, 0.0, error=str(error))
        *_, last = self.stream(request)
        assert last.completion is not None
        return last.completion

    def check(self, request: ChatRequest) -> None:
        if request.messages[-1].content == "too long":
            raise RequestError("the prompt does not fit", param="messages")

    def stream(self, request: ChatRequest) -> Iterator[Delta]:
        if request.model not in self.models():
            raise ModelNotFoundError(f"{request.model} is not loaded")
        self.requests.append(request)
        question = request.messages[-1].content
        input_tokens = self.count_tokens(request.model, request.messages)
        if question == "bug":
            raise KeyError("a secret of the house")
        if question == "meet":
            self.two_at_once.wait()
        if question == "for ever":
            yield from self._drip()
        words = f"{request.model}: {question}".split(" ")
        kept = words[: request.max_tokens]
        for number, word in enumerate(kept):
            if word == "break":
                raise KeyError("a secret of the house")
            yield Delta(word if number == 0 else f" {word}")
        if question == "fail":
            yield Delta("", Completion("", "error", input_tokens, 0, 1.0, error="out of memory"))
            return
        reason: Literal["stop", "length"] = "stop" if kept == words else "length"
        yield Delta("", Completion(" ".join(kept), reason, input_tokens, len(kept), 1.0))

    def _drip(self) -> Iterator[Delta]:
        try:
            while True:
                time.sleep(0.01)
                yield Delta("drip ")
        finally:
            self.closed.set()

    def score(self, model: str, messages: Sequence[Message], completion: str) -> list[float]:
        return [-1.0 for _ in completion.split()]

    def token_ids(self, model: str, messages: Sequence[Message], completion: str) -> list[int]:
        words = " ".join([*(message.content for message in messages), completion]).split()
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
