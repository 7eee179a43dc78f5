"""One request on its way through the engine, from prompt ids to text."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Literal

import torch
from tokenizers.decoders import DecodeStream

from tunewise.engines.base import Delta
from tunewise.engines.grammar import Matcher
from tunewise.engines.logprobs import AnswerLogprobs
from tunewise.engines.tool_calls import ToolCallDeltas
from tunewise.models.adapters import Adapter
from tunewise.records import ChatRequest, Completion, TokenLogprob


class Sequence:
    """State of one answer. Once it is submitted, only whoever computes touches it, but to cancel it."""

    def __init__(
        self,
        request: ChatRequest,
        prompt_ids: list[int],
        max_tokens: int,
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
        self.weights = adapter.serial if adapter is not None else 0
        """Which weights answer: 0 is the base's own. What one of them cached is of no use to another."""
        self.matcher = matcher
        self.ids = list(prompt_ids)
        self.num_prompt = len(prompt_ids)
        self.max_length = len(prompt_ids) + max_tokens
        """The most tokens that this sequence can come to."""
        self.num_cached = 0
        """How many of `ids` have their keys and values in the cache."""
        self.slot = -1
        self.cancelled = False
        self.deliver = ToolCallDeltas(deliver) if request.tools else deliver
        self._stop_ids = stop_ids
        self._tokenizer = tokenizer
        self._is_greedy = matcher is None and not (
            request.temperature or request.presence_penalty or request.frequency_penalty
        )
        self._has_only_bans = all(bias <= 0 for bias in request.logit_bias.values())
        self._incremental = streamed or bool(request.stop)
        self._streamed = streamed
        self._index = index
        self._num_output = 0
        """Tokens of the answer and its end of turn."""
        self._sent = ""
        self._settled = ""
        """The text so far that no later token can change, where it is made on the way."""
        self._decoding = DecodeStream(skip_special_tokens=True)
        self._logprobs = AnswerLogprobs()
        self._started = 0.0
        seed = request.seed if request.seed is not None else secrets.randbits(31)
        self.generator = torch.Generator().manual_seed(seed)

    def start(self, slot: int) -> None:
        """The engine gives it a place; its latency counts from here."""
        self.slot = slot
        self._started = time.perf_counter()

    def cancel(self) -> None:
        """Nobody waits for it any more; the engine leaves it out from its next step on."""
        self.cancelled = True

    @property
    def generated(self) -> list[int]:
        """The tokens of the answer so far."""
        return self.ids[self.num_prompt :]

    def takes_likeliest(self, token: int) -> bool:
        """Whether the likeliest token is what its request asks for, whatever the other logits are.

        A bias that makes other tokens less likely changes nothing.
        """
        return self._is_greedy and self._has_only_bans and token not in self.request.logit_bias

    def append(self, token: int, logprob: TokenLogprob | None = None) -> bool:
        """Take the next token, hand out what text it completes, and say whether the answer is over."""
        self._num_output += 1
        problem = None if self.matcher is None else self.matcher.consume(token)
        if problem is not None:
            self._logprobs.cut("")
            return self._finish("error", "", error=problem)
        if token in self._stop_ids:
            return self._finish("stop", self._text())
        self.ids.append(token)
        if self._incremental:
            self._settled += self._decoding.step(self._tokenizer.backend_tokenizer, token) or ""
        if logprob is not None:
            self._logprobs.add(logprob, self._settled)
        ends = [self._settled.find(stop) for stop in self.request.stop if stop in self._settled]
        if ends:
            cut = self._settled[: min(ends)]
            self._logprobs.cut(cut)
            return self._finish("stop", cut)
        if self.matcher is not None and self.matcher.is_over:
            return self._finish("stop", self._text())
        if len(self.ids) >= self.max_length:
            return self._finish("length", self._text())
        if self._streamed:
            shown = self._settled[: len(self._settled) - self._held_back()]
            self._send(shown, self._logprobs.take(shown))
        return False

    def _finish(
        self, reason: Literal["stop", "length", "error"], text: str, error: str | None = None
    ) -> bool:
        self._send(text, self._logprobs.take())
        completion = Completion(
            text,
            reason,
            self.num_prompt,
            self._num_output,
            latency_ms=(time.perf_counter() - self._started) * 1000,
            error=error,
            logprobs=tuple(self._logprobs.tokens),
        )
        self.deliver(Delta("", completion, index=self._index))
        return True

    def _send(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> None:
        """Hand out what is new of `text`, with the tokens that begin there."""
        if self._streamed and (len(text) > len(self._sent) or logprobs):
            self.deliver(Delta(text[len(self._sent) :], logprobs=logprobs, index=self._index))
            self._sent = text

    def _text(self) -> str:
        return str(self._tokenizer.decode(self.generated, skip_special_tokens=True))

    def _held_back(self) -> int:
        """How much of the end may turn out to be the beginning of a stop string."""
        sizes = (
            size
            for stop in self.request.stop
            for size in range(1, len(stop))
            if self._settled.endswith(stop[:size])
        )
        return max(sizes, default=0)
