"""Continuous batching in torch over the same model classes, weights and kernels as training.

A step reads: admit waiting requests to free slots, choose the tokens to compute, run the model once on
all of them laid end to end, hand each finished position its next token. Requests for the base and for any
adapter share the step. A prompt that begins like one already cached copies that beginning.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import torch
from torch import Tensor

from tunewise.chat.packing import pack_examples
from tunewise.chat.template import TEMPLATE_FILE, ChatTemplate, TokenizedExample
from tunewise.engines.answers import LocalAnswers
from tunewise.engines.base import Delta
from tunewise.engines.grammar import Grammars
from tunewise.engines.kv_cache import CachedLayout, Chunk, KVCache
from tunewise.engines.logprobs import TokenSpelling, token_logprob
from tunewise.engines.sampling import choose, is_plain
from tunewise.engines.sequence import Sequence
from tunewise.engines.slots import Slot, find_shared_prefix
from tunewise.errors import ModelNotFoundError, OverloadedError, RequestError
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
        self, loaded: LoadedModel, *, own_thread: bool = False, max_waiting: int = MAX_WAITING
    ) -> None:
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
        self._slots = [Slot() for _ in range(MAX_SLOTS)]
        self._waiting: deque[Sequence] = deque()
        self._max_waiting = max_waiting
        self._spelling = TokenSpelling(loaded.tokenizer)
        self._grammars = Grammars(loaded.tokenizer, config.vocab_size)
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
        completions: list[Completion | None] = [None] * len(requests)
        with contextlib.closing(self._answers(len(requests))) as answers:
            sequences = []
            for index, request in enumerate(requests):
                try:
                    sequences.append(self._prepare(request, index, answers, streamed=False))
                except RequestError as error:
                    failed = Completion("", "error", 0, 0, 0.0, error=str(error))
                    answers.deliver(Delta("", failed, index=index))
            answers.sequences = sequences
            self._submit(sequences)
            for delta in answers:
                completions[delta.index] = delta.completion
                if on_done is not None:
                    on_done(delta.index)
        return [completion for completion in completions if completion is not None]

    def check(self, request: ChatRequest) -> None:
        """See `Engine`."""
        self._prepare(request, 0, self._answers(1), streamed=False)

    def stream(self, *requests: ChatRequest, whole: bool = False) -> LocalAnswers:
        """See `Engine`. All or none are taken."""
        answers = self._answers(len(requests))
        answers.sequences = [
            self._prepare(request, index, answers, streamed=not whole)
            for index, request in enumerate(requests)
        ]
        self._submit(answers.sequences, may_refuse=True)
        return answers

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
        ids = self._template(request.model).encode_prompt(request.messages, request.tools)
        if len(ids) + request.max_tokens > self._loaded.max_context:
            raise RequestError(
                f"this prompt has {len(ids)} tokens and asks for up to {request.max_tokens} more, "
                f"but the context of {request.model} holds {self._loaded.max_context}",
                param="messages",
            )
        vocab_size = self._model.config.vocab_size
        unknown = [token for token in request.logit_bias if not 0 <= token < vocab_size]
        if unknown:
            raise RequestError(
                f"there is no token {unknown[0]}: ids of {request.model} are below {vocab_size}",
                param="logit_bias",
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
        self, request: ChatRequest, index: int, answers: LocalAnswers, *, streamed: bool
    ) -> Sequence:
        ids = self._encode(request)
        with self._changed:
            stop_ids, adapter = self._template(request.model).stop_ids, self._adapters[request.model]
        matcher = self._grammars.matcher(request, stop_ids)
        tokenizer, deliver = self._loaded.tokenizer, answers.deliver
        return Sequence(
            request, ids, stop_ids, adapter, matcher, tokenizer, deliver, streamed=streamed, index=index
        )

    def _answers(self, num_requests: int) -> LocalAnswers:
        """Whoever waits for them computes, unless the engine's own thread does."""
        return LocalAnswers(num_requests, self._turn if self._thread is None else None)

    def _submit(self, sequences: SequenceOf[Sequence], *, may_refuse: bool = False) -> None:
        with self._changed:
            if self._closed:
                raise RequestError("the engine is closed")
            if may_refuse:
                self._refuse_if_overloaded()
            self._waiting.extend(sequences)
            self._changed.notify()

    def _refuse_if_overloaded(self) -> None:
        """Who will find a free slot in the next step does not count as waiting."""
        num_waiting = sum(not sequence.cancelled for sequence in self._waiting)
        if num_waiting - len(self._free_slots()) >= self._max_waiting:
            raise OverloadedError(f"{num_waiting} requests wait for this engine already: try again later")

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
        ready = [sequence for sequence, chunk in chunks if chunk.end == len(sequence.ids)]
        likeliest = logits.argmax(-1).tolist()
        for row, sequence in enumerate(ready):
            request, token = sequence.request, likeliest[row]
            if sequence.matcher is not None or not is_plain(request):
                token = choose(logits[row], request, sequence.generated, sequence.generator, sequence.matcher)
            logprob = None
            if request.top_logprobs is not None:
                logprob = token_logprob(logits[row], token, request.top_logprobs, self._spelling)
            if sequence.append(token, logprob):
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
        prefix = find_shared_prefix(self._slots, sequence)
        if prefix.is_growing:
            return False
        target = (
            prefix.source
            if prefix.source in free
            else min(free, key=lambda i: (bool(self._slots[i].ids), self._slots[i].last_used, i))
        )
        self._cache.reserve(target + 1, sequence.max_length)
        if prefix.num_tokens:
            self._cache.copy_prefix(prefix.source, target, prefix.num_tokens)
            sequence.num_cached = prefix.num_tokens
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
            slot.clear()
        self._waiting.clear()


def _eos_ids(model: object) -> list[int]:
    eos = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return list(eos) if isinstance(eos, list | tuple) else [] if eos is None else [eos]
