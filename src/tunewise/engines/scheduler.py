"""Which sequences compute in a step, how much of each, and where in the cache.

Sequences wait in order for a slot, a row of the cache. A step computes one token of each that decodes and as
much of the prompts as fits beside them. A prompt that begins like one already cached copies that beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tunewise.engines.kv_cache import Chunk, KVCache
from tunewise.engines.sequence import Sequence
from tunewise.engines.slots import Slot, find_shared_prefix

MAX_SLOTS = 64
"""Sequences that decode together. More would wait longer for their first token and gain little speed."""
MAX_STEP_TOKENS = 768
"""Tokens computed in one step; longer prompts are cut into chunks, so that others keep decoding."""
CACHE_BYTES = 2 * 2**30
"""The key/value cache grows up to this."""


class Scheduler:
    """Sequences on their way from waiting to done. Not thread-safe: the engine holds its lock around it."""

    def __init__(
        self,
        cache: KVCache,
        *,
        max_slots: int = MAX_SLOTS,
        max_step_tokens: int = MAX_STEP_TOKENS,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._cache = cache
        self._max_step_tokens = max_step_tokens
        self._cache_bytes = cache_bytes
        self._slots = [Slot() for _ in range(max_slots)]
        self._waiting: deque[Sequence] = deque()
        self._steps = 0

    def submit(self, sequences: Iterable[Sequence]) -> None:
        """Queue them behind those that wait."""
        self._waiting.extend(sequences)

    def has_work(self) -> bool:
        """Whether any sequence is not done."""
        return bool(self._waiting or self.running())

    def running(self) -> list[Sequence]:
        """Those that have a slot."""
        return [slot.sequence for slot in self._slots if slot.sequence is not None]

    def num_waiting(self) -> int:
        """How many have no slot yet."""
        return sum(not sequence.cancelled for sequence in self._waiting)

    def num_free(self) -> int:
        """How many slots nobody has."""
        return len(self._free_slots())

    def admit(self) -> None:
        """Give waiting sequences slots, in order, while there is room for them."""
        for sequence in self.running():
            if sequence.cancelled:
                self.release(sequence)
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

    def schedule(self) -> list[tuple[Sequence, Chunk]]:
        """The tokens of the next step: one of each decoding sequence, and as much of the prompts as fits.

        Ordered by model, so that each adapter's tokens lie side by side.
        """
        self._steps += 1
        running = self.running()
        budget = self._max_step_tokens - sum(1 for s in running if len(s.ids) - s.num_cached == 1)
        chunks = []
        for sequence in running:
            missing = len(sequence.ids) - sequence.num_cached
            size = missing if missing == 1 else min(missing, budget)
            if size > 0:
                start = sequence.num_cached
                chunks.append((sequence, Chunk(sequence.slot, start, start + size)))
                budget -= size if missing > 1 else 0
        return sorted(chunks, key=lambda item: (item[0].request.model, item[0].slot))

    def release(self, sequence: Sequence) -> None:
        """Free the slot; what it holds stays usable as the beginning of another prompt."""
        slot = self._slots[sequence.slot]
        slot.sequence, slot.ids, slot.last_used = None, sequence.ids[: sequence.num_cached], self._steps

    def disown(self, model: str) -> None:
        """What is cached under this id, or will be by those that run, is not what it means from now on."""
        for slot in self._slots:
            if slot.model == model:
                slot.model = ""

    def fail(self, error: BaseException) -> None:
        """End all sequences with `error`, and trust nothing that is cached."""
        for sequence in [*self.running(), *self._waiting]:
            sequence.deliver(error)
        for slot in self._slots:
            slot.clear()
        self._waiting.clear()

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
        running = self.running()
        longest = max([sequence.max_length, self._cache.states.shape[4], *(s.max_length for s in running)])
        slots = max([1, *(s.slot + 1 for s in running)], default=1)
        return not running or (slots + 1) * longest * self._cache.bytes_per_token <= self._cache_bytes
