"""Continuous batching in torch over the same model classes, weights and kernels as training.

A step reads: admit waiting requests to free slots, choose the tokens to compute, run the model once on
all of them laid end to end, hand each finished position its next token. Requests for the base and for any
adapter share the step. A prompt that begins like one already cached copies that beginning.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from tunewise.chat.packing import pack_examples
from tunewise.chat.template import TEMPLATE_FILE, ChatTemplate, TokenizedExample
from tunewise.engines.base import Delta
from tunewise.engines.kv_cache import CachedLayout, Chunk, KVCache
from tunewise.engines.sampling import sample
from tunewise.engines.sequence import Sequence
from tunewise.errors import ModelNotFoundError, RequestError
from tunewise.models.adapters import Adapter, add_adapter_rows, linear, load_adapter
from tunewise.models.attention import PackedLayout
from tunewise.models.base import LoadedModel
from tunewise.records import ChatRequest, Completion, Message

MAX_SLOTS = 64
"""Sequences that decode together. More would wait longer for their first token and gain little speed."""
MAX_STEP_TOKENS = 768
"""Tokens computed in one step; longer prompts are cut into chunks, so that others keep decoding."""
CACHE_BYTES = 2 * 2**30
"""The key/value cache grows up to this."""
MIN_SHARED_PREFIX = 16
"""Copying a shorter beginning from another slot saves less than it costs."""


_T = TypeVar("_T")


class _Slot:
    """A row of the cache: who is in it, and which tokens of which model its first positions hold."""

    def __init__(self) -> None:
        self.sequence: Sequence | None = None
        self.model = ""
        self.ids: list[int] = []
        self.last_used = 0


class LocalEngine:
    """The engine of this machine (implements `Engine`). Thread-safe.

    Whoever waits for an answer computes; or, with `own_thread`, as a server wants it, one thread computes
    for all. Either way a process should compute on one thread only: each that does keeps an OpenMP pool,
    and as soon as the pools have more threads than there are cores, all of them slow down to less than half
    (`docs/log.md`).
    """

    def __init__(self, loaded: LoadedModel, *, own_thread: bool = False) -> None:
        self.base_id = loaded.base.name
        self._loaded = loaded
        self._model = loaded.model
        config = self._model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._cache = KVCache(
            config.num_hidden_layers, config.num_key_value_heads, head_dim, self._model.dtype, loaded.device
        )
        self._rows = add_adapter_rows(self._model)
        self._adapters: dict[str, Adapter | None] = {self.base_id: None}
        self._templates = {self.base_id: ChatTemplate(loaded.tokenizer, eos_ids=_eos_ids(self._model))}
        self._slots = [_Slot() for _ in range(MAX_SLOTS)]
        self._waiting: deque[Sequence] = deque()
        self._steps = 0
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
        """See `Engine`. All requests are queued at once, so the same list is always batched the same way."""
        finished: queue.SimpleQueue[tuple[int, Delta | BaseException]] = queue.SimpleQueue()
        completions: list[Completion | None] = [None] * len(requests)
        sequences = []
        for index, request in enumerate(requests):

            def deliver(delta: Delta | BaseException, index: int = index) -> None:
                finished.put((index, delta))

            try:
                sequences.append(self._prepare(request, deliver, streamed=False))
            except RequestError as error:
                deliver(Delta("", Completion("", "error", 0, 0, 0.0, error=str(error))))
        try:
            self._submit(sequences)
            for _ in requests:
                index, delta = self._wait(finished)
                if isinstance(delta, BaseException):
                    raise delta
                completions[index] = delta.completion
                if on_done is not None:
                    on_done(index)
        finally:
            self._cancel(sequences)
        return [completion for completion in completions if completion is not None]

    def check(self, request: ChatRequest) -> None:
        """See `Engine`."""
        self._encode(request)

    def stream(self, request: ChatRequest) -> Iterator[Delta]:
        """See `Engine`. Errors in the request are raised here, before the first piece is asked for."""
        deltas: queue.SimpleQueue[Delta | BaseException] = queue.SimpleQueue()
        sequence = self._prepare(request, deltas.put, streamed=True)
        return self._stream(sequence, deltas)

    def score(self, model: str, messages: SequenceOf[Message], completion: str) -> list[float]:
        """See `Engine`."""
        pack = pack_examples([self._encode_answered(model, messages, completion)], self._loaded.device)
        with self._model_lock, torch.inference_mode():
            adapter = self._adapters[model]
            self._rows.spans = [(adapter, 0, pack.num_tokens)] if adapter else []
            layout = PackedLayout(pack.lengths, self._loaded.device)
            hidden = self._forward(pack.input_ids, pack.position_ids, layout)
            logprobs = self._logits(hidden[pack.predicting]).float().log_softmax(-1)
            scores: list[float] = logprobs.gather(1, pack.targets[:, None])[:, 0].tolist()
        return scores

    def token_ids(self, model: str, messages: SequenceOf[Message], completion: str) -> list[int]:
        """See `Engine`."""
        return self._encode_answered(model, messages, completion).ids

    def count_tokens(self, model: str, messages: SequenceOf[Message]) -> int:
        """See `Engine`."""
        return len(self._template(model).encode_prompt(messages))

    def count_answer_tokens(self, model: str, answer: str) -> int:
        """See `Engine`."""
        turn = [Message("user", ""), Message("assistant", answer)]
        return sum(self._template(model).encode_example(turn).trained)

    def load(self, model: str, path: Path) -> None:
        """See `Engine`. The folder's own chat template, where it has one, is the model's."""
        adapter = load_adapter(path, self._loaded.device, self._model.dtype)
        own = path / TEMPLATE_FILE
        source = own.read_text("utf-8") if own.is_file() else None
        template = ChatTemplate(self._loaded.tokenizer, source, _eos_ids(self._model))
        with self._changed:
            self._adapters[model] = adapter
            self._templates[model] = template

    def unload(self, model: str) -> None:
        """See `Engine`. Answers under way finish."""
        with self._changed:
            self._template(model)
            del self._adapters[model], self._templates[model]
            for slot in self._slots:
                if slot.model == model and slot.sequence is None:
                    slot.ids = []

    def models(self) -> list[str]:
        """See `Engine`."""
        with self._changed:
            return list(self._adapters)

    def close(self) -> None:
        """Answer nothing more; requests under way fail."""
        with self._changed:
            self._closed = True
            self._fail(RequestError("the engine was closed"))
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    # From a request to a queued sequence.

    def _template(self, model: str) -> ChatTemplate:
        try:
            return self._templates[model]
        except KeyError:
            raise ModelNotFoundError(f"the model {model!r} does not exist") from None

    def _encode(self, request: ChatRequest) -> list[int]:
        ids = self._template(request.model).encode_prompt(request.messages)
        if len(ids) + request.max_tokens > self._loaded.max_context:
            raise RequestError(
                f"this prompt has {len(ids)} tokens and asks for up to {request.max_tokens} more, "
                f"but the context of {request.model} holds {self._loaded.max_context}",
                param="messages",
            )
        return ids

    def _encode_answered(
        self, model: str, messages: SequenceOf[Message], completion: str
    ) -> TokenizedExample:
        """The prompt as it is sent, and the answer behind it as what is to be predicted."""
        template = self._template(model)
        prompt = template.encode_prompt(messages)
        answer = template.encode_example([*messages, Message("assistant", completion)]).ids[len(prompt) :]
        return TokenizedExample(prompt + answer, [False] * len(prompt) + [True] * len(answer))

    def _prepare(
        self, request: ChatRequest, deliver: Callable[[Delta | BaseException], None], *, streamed: bool
    ) -> Sequence:
        ids = self._encode(request)
        with self._changed:
            stop_ids, adapter = self._template(request.model).stop_ids, self._adapters[request.model]
        return Sequence(request, ids, stop_ids, adapter, self._loaded.tokenizer, deliver, streamed=streamed)

    def _submit(self, sequences: SequenceOf[Sequence]) -> None:
        with self._changed:
            if self._closed:
                raise RequestError("the engine is closed")
            self._waiting.extend(sequences)
            self._changed.notify()

    def _cancel(self, sequences: SequenceOf[Sequence]) -> None:
        for sequence in sequences:
            sequence.cancelled = True

    def _stream(
        self, sequence: Sequence, deltas: queue.SimpleQueue[Delta | BaseException]
    ) -> Iterator[Delta]:
        try:
            self._submit([sequence])
            while True:
                delta = self._wait(deltas)
                if isinstance(delta, BaseException):
                    raise delta
                yield delta
                if delta.completion is not None:
                    return
        finally:
            self._cancel([sequence])

    def _wait(self, delivered: queue.SimpleQueue[_T]) -> _T:
        """The next thing delivered, computing until it is there unless another thread does."""
        while self._thread is None and delivered.empty():
            self._turn()
        return delivered.get()

    # What computes.

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting or self._running())
                if self._closed:
                    return
            self._turn()

    def _turn(self) -> None:
        """Admit what waits and compute one step."""
        with self._model_lock:
            with self._changed:
                self._admit()
            try:
                with torch.inference_mode():
                    self._step()
            except Exception as error:  # Whoever else waits for an answer of this step must hear of it.
                with self._changed:
                    self._fail(error)

    def _step(self) -> None:
        """Choose, compute, deliver."""
        chunks = self._schedule()
        if not chunks:
            return
        logits = self._compute(chunks)
        finished_prompts = [(s, c) for s, c in chunks if c.end == len(s.ids)]
        greedy = logits.argmax(-1).tolist()
        for row, (sequence, _) in enumerate(finished_prompts):
            request = sequence.request
            token = greedy[row]
            if request.temperature > 0:
                token = sample(logits[row], request.temperature, request.top_p, sequence.generator)
            if sequence.append(token):
                self._release(sequence)

    def _running(self) -> list[Sequence]:
        return [slot.sequence for slot in self._slots if slot.sequence is not None]

    def _admit(self) -> None:
        """Give waiting sequences slots, in order, while there is room for them."""
        for sequence in self._running():
            if sequence.cancelled:
                self._release(sequence)
        postponed: list[Sequence] = []
        while self._waiting:
            sequence = self._waiting.popleft()
            if sequence.cancelled:
                continue
            if not self._place(sequence):
                postponed.append(sequence)
                if self._free_slots() == []:
                    break
        self._waiting.extendleft(reversed(postponed))

    def _free_slots(self) -> list[int]:
        return [index for index, slot in enumerate(self._slots) if slot.sequence is None]

    def _place(self, sequence: Sequence) -> bool:
        """Put a sequence into a slot, with the longest beginning that some slot holds already.

        Says no when there is no room, or when another sequence is just computing a beginning that this one
        could copy as soon as it is done.
        """
        free = self._free_slots()
        if not free or not self._fits(sequence):
            return False
        # The last prompt token is always computed: its logits are needed.
        wanted = sequence.ids[: sequence.num_prompt - 1]
        best, shared, pending = -1, MIN_SHARED_PREFIX - 1, MIN_SHARED_PREFIX - 1
        for index, slot in enumerate(self._slots):
            if slot.model != sequence.request.model:
                continue
            cached = slot.ids if slot.sequence is None else slot.sequence.ids[: slot.sequence.num_cached]
            length = _common_prefix(wanted, cached)
            if length > shared:
                best, shared = index, length
            if slot.sequence is not None and slot.sequence.num_cached < slot.sequence.num_prompt:
                pending = max(pending, _common_prefix(wanted, slot.sequence.ids[: slot.sequence.num_prompt]))
        if pending > shared:
            return False
        target = (
            best
            if best in free
            else min(free, key=lambda i: (bool(self._slots[i].ids), self._slots[i].last_used, i))
        )
        self._cache.reserve(target + 1, sequence.max_length)
        if best >= 0:
            self._cache.copy_prefix(best, target, shared)
            sequence.num_cached = shared
        slot = self._slots[target]
        slot.sequence, slot.model, slot.ids = sequence, sequence.request.model, []
        sequence.start(target)
        return True

    def _fits(self, sequence: Sequence) -> bool:
        """Whether the cache stays within its bytes; a sequence that runs alone always fits."""
        running = self._running()
        longest = max([sequence.max_length, self._cache.states.shape[4], *(s.max_length for s in running)])
        slots = max([1, *(s.slot + 1 for s in running)], default=1)
        return not running or (slots + 1) * longest * self._cache.bytes_per_token <= CACHE_BYTES

    def _release(self, sequence: Sequence) -> None:
        """Free the slot; what it holds stays usable as the beginning of another prompt."""
        slot = self._slots[sequence.slot]
        slot.sequence, slot.ids, slot.last_used = None, sequence.ids[: sequence.num_cached], self._steps

    def _schedule(self) -> list[tuple[Sequence, Chunk]]:
        """The tokens of this step: one of each decoding sequence, and as much of the prompts as fits.

        Ordered by model, so that each adapter's tokens lie side by side.
        """
        self._steps += 1
        running = self._running()
        budget = MAX_STEP_TOKENS - sum(1 for s in running if len(s.ids) - s.num_cached == 1)
        chunks = []
        for sequence in running:
            missing = len(sequence.ids) - sequence.num_cached
            size = missing if missing == 1 else min(missing, budget)
            if size > 0:
                start = sequence.num_cached
                chunks.append((sequence, Chunk(sequence.slot, start, start + size)))
                budget -= size if missing > 1 else 0
        return sorted(chunks, key=lambda item: (item[0].request.model, item[0].slot))

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
        self._rows.spans = spans
        hidden = self._forward(torch.tensor([ids], device=device), layout.position_ids, layout)
        return self._logits(hidden[torch.tensor(ends, dtype=torch.long, device=device)])

    def _forward(self, ids: Tensor, positions: Tensor, layout: CachedLayout | PackedLayout) -> Tensor:
        output = self._model.base_model(input_ids=ids, position_ids=positions, use_cache=False, layout=layout)
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def _logits(self, hidden: Tensor) -> Tensor:
        head = self._model.get_output_embeddings()
        return linear(hidden[None], head.weight, head.bias)[0]

    def _fail(self, error: BaseException) -> None:
        for sequence in [*self._running(), *self._waiting]:
            sequence.deliver(error)
        for slot in self._slots:
            slot.sequence, slot.ids = None, []
        self._waiting.clear()


def _common_prefix(first: list[int], second: list[int]) -> int:
    length = min(len(first), len(second))
    if first[:length] == second[:length]:
        return length
    return next(i for i in range(length) if first[i] != second[i])


def _eos_ids(model: object) -> list[int]:
    eos = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return list(eos) if isinstance(eos, list | tuple) else [] if eos is None else [eos]
