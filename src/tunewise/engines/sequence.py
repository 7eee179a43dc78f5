"""One request on its way through the engine, from prompt ids to text."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Literal

import torch

from tunewise.engines.base import Delta
from tunewise.engines.grammar import Matcher
from tunewise.engines.tool_calls import ToolCallDeltas
from tunewise.models.adapters import Adapter
from tunewise.records import ChatRequest, Completion, TokenLogprob


class Sequence:
    """State of one answer. Only the engine's own thread touches it once it is submitted."""

    def __init__(
        self,
        request: ChatRequest,
        prompt_ids: list[int],
        stop_ids: frozenset[int],
        adapter: Adapter | None,
        matcher: Matcher | None,
        tokenizer: Any,
        deliver: Callable[[Delta | BaseException], None],
        *,
        streamed: bool,
        index: int = 0,
    ) -> None:
        self.request = request
        self.adapter = adapter
        self.matcher = matcher
        self.ids = list(prompt_ids)
        self.num_prompt = len(prompt_ids)
        self.num_cached = 0
        """How many of `ids` have their keys and values in the cache."""
        self.slot = -1
        self.cancelled = False
        self.deliver = ToolCallDeltas(deliver) if request.tools else deliver
        self._stop_ids = stop_ids
        self._tokenizer = tokenizer
        self._incremental = streamed or bool(request.stop)
        self._streamed = streamed
        self._index = index
        self._num_output = 0
        """Tokens of the answer and its end of turn."""
        self._sent = ""
        self._num_settled = 0
        """Characters of the text so far that no later token can change."""
        self._logprobs: list[TokenLogprob] = []
        self._begins: list[int] = []
        """Where in the text each of `_logprobs` begins; known where the text is made on the way."""
        self._num_logprobs_sent = 0
        self._started = 0.0
        seed = request.seed if request.seed is not None else torch.seed() % 2**31
        self.generator = torch.Generator().manual_seed(seed)

    def start(self, slot: int) -> None:
        """The engine gives it a place; its latency counts from here."""
        self.slot = slot
        self._started = time.perf_counter()

    @property
    def max_length(self) -> int:
        """The most tokens that this sequence can come to."""
        return self.num_prompt + self.request.max_tokens

    @property
    def generated(self) -> list[int]:
        """The tokens of the answer so far."""
        return self.ids[self.num_prompt :]

    def append(self, token: int, logprob: TokenLogprob | None = None) -> bool:
        """Take the next token, hand out what text it completes, and say whether the answer is over."""
        self._num_output += 1
        problem = None if self.matcher is None else self.matcher.consume(token)
        if problem is not None:
            self._logprobs.clear()
            return self._finish("error", "", error=problem)
        if token in self._stop_ids:
            return self._finish("stop", self._text())
        self.ids.append(token)
        text = self._text() if self._incremental else ""
        if logprob is not None:
            self._logprobs.append(logprob)
            self._begins.append(self._num_settled)
            self._num_settled = len(text.rstrip("\ufffd"))
        for stop in self.request.stop:
            if stop in text:
                cut = text[: text.index(stop)]
                del self._logprobs[self._num_beginning_in(cut) :]
                return self._finish("stop", cut)
        if self.matcher is not None and self.matcher.is_over:
            return self._finish("stop", text if self._incremental else self._text())
        if len(self.ids) >= self.max_length:
            return self._finish("length", text if self._incremental else self._text())
        if self._streamed:
            shown = text[: len(text) - self._held_back(text)]
            self._send(shown, self._num_beginning_in(shown))
        return False

    def _finish(
        self, reason: Literal["stop", "length", "error"], text: str, error: str | None = None
    ) -> bool:
        self._send(text, len(self._logprobs))
        completion = Completion(
            text,
            reason,
            self.num_prompt,
            self._num_output,
            latency_ms=(time.perf_counter() - self._started) * 1000,
            error=error,
            logprobs=tuple(self._logprobs),
        )
        self.deliver(Delta("", completion, index=self._index))
        return True

    def _send(self, text: str, num_logprobs: int) -> None:
        """Hand out what is new of `text`, with those of the first `num_logprobs` tokens that are new."""
        if self._streamed and (len(text) > len(self._sent) or num_logprobs > self._num_logprobs_sent):
            logprobs = tuple(self._logprobs[self._num_logprobs_sent : num_logprobs])
            self.deliver(Delta(text[len(self._sent) :], logprobs=logprobs, index=self._index))
            self._sent, self._num_logprobs_sent = text, num_logprobs

    def _num_beginning_in(self, text: str) -> int:
        """How many tokens begin before the end of `text`, a beginning of the text so far."""
        return bisect_left(self._begins, len(text))

    def _text(self) -> str:
        return str(self._tokenizer.decode(self.generated, skip_special_tokens=True))

    def _held_back(self, text: str) -> int:
        """How much of the end may still change: half a character, or the beginning of a stop string."""
        if text.endswith("\ufffd"):
            return len(text) - len(text.rstrip("\ufffd"))
        longest = 0
        for stop in self.request.stop:
            for size in range(1, len(stop)):
                if text.endswith(stop[:size]):
                    longest = max(longest, size)
        return longest
