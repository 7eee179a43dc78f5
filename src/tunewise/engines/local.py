"""Continuous batching in torch over the same model classes, weights and kernels as training.

A step reads: admit waiting requests to free slots, choose the tokens to compute, run the model once on
all of them laid end to end, hand each finished position its next token. Requests for the base and for any
adapter share the step. A prompt that begins like one already cached copies that beginning.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import torch
from torch import Tensor

from tunewise.chat.packing import pack_examples
from tunewise.chat.template import ChatTemplate
from tunewise.engines.adapter_store import AdapterStore
from tunewise.engines.answers import QueuedAnswers
from tunewise.engines.base import Delta
from tunewise.engines.decoder import open_decoder, open_head
from tunewise.engines.grammar import Grammars
from tunewise.engines.kv_cache import CachedLayout, Chunk, KVCache
from tunewise.engines.logprobs import TokenSpelling, token_logprob
from tunewise.engines.prompts import Prompts
from tunewise.engines.sampling import choose_tokens
from tunewise.engines.scheduler import Scheduler
from tunewise.engines.sequence import Sequence
from tunewise.errors import ModelNotFoundError, OverloadedError, RequestError, TunewiseError
from tunewise.models.adapters import Adapter
from tunewise.models.attention import PackedLayout
from tunewise.models.base import LoadedModel
from tunewise.records import ChatRequest, Completion, Message, TokenLogprob, Tool

ADAPTER_BYTES = 2**30
"""Adapters stay in memory up to this."""
MAX_WAITING = 256
"""Requests that wait for a slot, before more of them are refused."""


class LocalEngine:
    """The engine of this machine (implements `Engine`). Thread-safe.

    Whoever waits for an answer computes; or, with `own_thread`, as a server wants it, one thread computes
    for all. Either way a process should compute on one thread only: each that does keeps an OpenMP pool,
    and as soon as the pools have more threads than there are cores, all of them slow down to less than half
    (`docs/log.md`).

    More than `max_waiting` streamed requests are not kept waiting for a slot: `OverloadedError` refuses them.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        own_thread: bool = False,
        max_waiting: int = MAX_WAITING,
        adapter_bytes: int = ADAPTER_BYTES,
    ) -> None:
        self.base_id = loaded.base.name
        self.precision = str(loaded.model.dtype).removeprefix("torch.")
        self._loaded = loaded
        self._model = loaded.model
        config = self._model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._cache = KVCache(
            config.num_hidden_layers, config.num_key_value_heads, head_dim, self._model.dtype, loaded.device
        )
        self._decoder, self._head = open_decoder(self._model), open_head(self._model)
        self._adapters = AdapterStore(loaded.device, self._model.dtype, adapter_bytes)
        self._prompts = Prompts(
            self.base_id,
            loaded.tokenizer,
            self._model.generation_config.eos_token_id,
            max_context=loaded.max_context,
            vocab_size=config.vocab_size,
        )
        self._scheduler = Scheduler(self._cache)
        self._max_waiting = max_waiting
        self._spelling = TokenSpelling(loaded.tokenizer)
        self._grammars = Grammars(loaded.tokenizer, config.vocab_size)
        # Who computes holds the model lock: it guards slots, cache and decoder. The other, never held for
        # long, guards the queue of those that wait and what each caller may change.
        self._changed = threading.Condition()
        self._model_lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        if own_thread:
            self._thread = threading.Thread(target=self._work, name="tunewise-engine", daemon=True)
            self._thread.start()

    # What callers use, from any thread.

    def generate(
        self, requests: SequenceOf[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """See `Engine`. All requests are queued at once, so the same list is always batched the same way.

        Prompts that begin alike stand side by side, so that what they share is still there to be copied.
        """
        completions: list[Completion | None] = [None] * len(requests)
        with contextlib.closing(self._answers(len(requests))) as answers:
            sequences = []
            for index, request in enumerate(requests):
                try:
                    sequences.append(self._prepare(request, index, answers, streamed=False))
                except ModelNotFoundError:
                    raise
                except TunewiseError as error:
                    failed = Completion("", "error", 0, 0, 0.0, error=str(error))
                    answers.deliver(Delta("", failed, index=index))
            answers.parts = sequences
            self._submit(sorted(sequences, key=lambda sequence: (sequence.weights, sequence.ids)))
            for delta in answers:
                completions[delta.index] = delta.completion
                if on_done is not None:
                    on_done(delta.index)
        return [completion for completion in completions if completion is not None]

    def check(self, request: ChatRequest) -> None:
        """See `Engine`."""
        self._prepare(request, 0, self._answers(1), streamed=False)

    def stream(self, *requests: ChatRequest, whole: bool = False) -> QueuedAnswers:
        """See `Engine`. All or none are taken."""
        answers = self._answers(len(requests))
        sequences = [
            self._prepare(request, index, answers, streamed=not whole)
            for index, request in enumerate(requests)
        ]
        answers.parts = sequences
        self._submit(sequences, may_refuse=True)
        return answers

    def score(self, model: str, messages: SequenceOf[Message], tools: SequenceOf[Tool] = ()) -> list[float]:
        """See `Engine`."""
        example = self._template(model).encode_scored(messages, tools)
        pack = pack_examples([example], self._loaded.device)
        adapter = self._adapter(model)
        with self._model_lock, torch.inference_mode():
            self._decoder.rows.spans = [(adapter, 0, pack.num_tokens)] if adapter else []
            layout = PackedLayout(pack.lengths, self._loaded.device)
            hidden = self._decoder.forward(pack.input_ids[0], pack.position_ids[0], layout)
            logprobs = self._head(hidden[pack.predicting]).float().log_softmax(-1)
            scores: list[float] = logprobs.gather(1, pack.targets[:, None])[:, 0].tolist()
        return scores

    def token_ids(self, model: str, messages: SequenceOf[Message], tools: SequenceOf[Tool] = ()) -> list[int]:
        """See `Engine`."""
        return self._template(model).encode_scored(messages, tools).ids

    def count_tokens(self, model: str, messages: SequenceOf[Message]) -> int:
        """See `Engine`."""
        return len(self._template(model).encode_prompt(messages))

    def count_answer_tokens(self, model: str, answer: str) -> int:
        """See `Engine`."""
        return self._template(model).count_answer_tokens(answer)

    def load(self, model: str, path: Path) -> None:
        """See `Engine`. The folder's own chat template, where it has one, is the model's."""
        self._adapters.add(model, path)
        with self._changed:
            self._prompts.add(model, path)

    def unload(self, model: str) -> None:
        """See `Engine`. Answers under way finish."""
        with self._changed:
            self._prompts.remove(model)
            self._adapters.remove(model)

    def models(self) -> list[str]:
        """See `Engine`."""
        with self._changed:
            return self._prompts.models()

    def rest(self) -> None:
        """See `Engine`: it gives the cache's memory back; it computes nothing unless it is asked."""
        with self._model_lock, self._changed:
            self._scheduler.rest()

    def close(self) -> None:
        """Answer nothing more; requests under way fail."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        with self._model_lock, self._changed:
            self._scheduler.fail(RequestError("the engine was closed"))
        if self._thread is not None:
            self._thread.join()

    # From a request to a queued sequence.

    def _template(self, model: str) -> ChatTemplate:
        return self._prompts.of(model)

    def _adapter(self, model: str) -> Adapter | None:
        return None if model == self.base_id else self._adapters.get(model)

    def _prepare(
        self, request: ChatRequest, index: int, answers: QueuedAnswers, *, streamed: bool
    ) -> Sequence:
        ids, stop_ids = self._prompts.encode(request), self._template(request.model).stop_ids
        return Sequence(
            request,
            ids,
            self._prompts.longest_answer(request, len(ids)),
            stop_ids,
            self._adapter(request.model),
            self._grammars.matcher(request, stop_ids),
            self._loaded.tokenizer,
            answers.deliver,
            streamed=streamed,
            index=index,
        )

    def _answers(self, num_requests: int) -> QueuedAnswers:
        """Whoever waits for them computes, unless the engine's own thread does."""
        return QueuedAnswers(num_requests, self._turn if self._thread is None else None)

    def _submit(self, sequences: SequenceOf[Sequence], *, may_refuse: bool = False) -> None:
        with self._changed:
            if self._closed:
                raise RequestError("the engine is closed")
            waiting = self._scheduler.num_waiting()
            # Who will find a free slot in the next step does not count as waiting.
            if may_refuse and waiting - self._scheduler.num_free() >= self._max_waiting:
                raise OverloadedError(f"{waiting} requests wait for this engine already: try again later")
            self._scheduler.submit(sequences)
            self._changed.notify()

    # What computes.

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._scheduler.has_work())
                if self._closed:
                    return
            self._turn()

    def _turn(self) -> None:
        """Admit what waits and compute one step."""
        with self._model_lock:
            try:
                with self._changed:
                    self._scheduler.admit()
                with torch.inference_mode():
                    self._step()
            # Whoever waits for an answer of this step must hear of it, and nothing half-computed may stay.
            except BaseException as error:
                with self._changed:
                    self._scheduler.fail(error)
                if not isinstance(error, Exception):
                    raise

    def _step(self) -> None:
        """Schedule, compute, choose, deliver."""
        chunks = self._scheduler.schedule()
        if not chunks:
            return
        logits = self._compute(chunks)
        ready = [sequence for sequence, _ in chunks if sequence.num_cached == len(sequence.ids)]
        for sequence, token, row in zip(ready, choose_tokens(logits, ready), logits, strict=True):
            if sequence.append(token, self._logprob(sequence.request, token, row)):
                self._scheduler.release(sequence)

    def _compute(self, chunks: SequenceOf[tuple[Sequence, Chunk]]) -> Tensor:
        """Run the model over all chunks; logits for those that reach the end of their sequence."""
        device = self._loaded.device
        ids: list[int] = []
        ends: list[int] = []
        spans: list[tuple[Adapter, int, int]] = []
        for sequence, chunk in chunks:
            first = len(ids)
            ids += sequence.ids[chunk.start : chunk.end]
            if chunk.end == len(sequence.ids):
                ends.append(len(ids) - 1)
            if sequence.adapter is not None:
                if spans and spans[-1][0] is sequence.adapter:
                    first = spans.pop()[1]
                spans.append((sequence.adapter, first, len(ids)))
            sequence.num_cached = chunk.end
        layout = CachedLayout(self._cache, [chunk for _, chunk in chunks])
        self._decoder.rows.spans = spans
        hidden = self._decoder.forward(torch.tensor(ids, device=device), layout.position_ids, layout)
        return self._head(hidden[torch.tensor(ends, dtype=torch.long, device=device)])

    def _logprob(self, request: ChatRequest, token: int, logits: Tensor) -> TokenLogprob | None:
        if request.top_logprobs is None:
            return None
        return token_logprob(logits, token, request.top_logprobs, self._spelling)
