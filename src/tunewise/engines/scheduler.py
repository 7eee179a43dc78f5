"""Which sequences compute in a step, how much of each, and where in the cache.

Sequences wait in order for a slot, a row of the cache. A step computes one token of each that decodes and as
much of the prompts as fits beside them. A prompt that begins like one already cached copies that beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tunewise.engines.kv_cache import Chunk, KVCache
from tunewise.engines.sequence import Sequence
from tunewise.engines.slots import SharedPrefix, Slot, find_shared_prefix

MAX_SLOTS = 64
"""Sequences that decode together. More would wait longer for their first token and gain little speed."""
MAX_STEP_TOKENS = 768
"""Tokens computed in one step; longer prompts are cut into chunks, so that others keep decoding."""
CACHE_BYTES = 2 * 2**30
"""The key/value cache grows up to this."""


class Scheduler:
    """Sequences on their way from waiting to done. Not thread-safe: see the locks of `LocalEngine`."""

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
        """Give waiting sequences slots, in order, while there is room for them.

        One that could copy a beginning which another is just computing lets others pass until it can.
        """
        for sequence in self.running():
            if sequence.cancelled:
                self.release(sequence)
        left: list[Sequence] = []
        try:
            while self._waiting and self._free_slots():
                sequence = self._waiting.popleft()
                if sequence.cancelled:
                    continue
                left.append(sequence)  # Not lost if memory runs out on the way.
                prefix = find_shared_prefix(self._slots, sequence)
                if prefix.is_growing:
                    continue
                if not self._place(sequence, prefix):
                    break
                left.pop()
        finally:
            self._waiting.extendleft(reversed(left))

    def schedule(self) -> list[tuple[Sequence, Chunk]]:
        """The tokens of the next step: one of each decoding sequence, and as much of the prompts as fits.

        Ordered by weights, so that each adapter's tokens lie side by side.
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
        return sorted(chunks, key=lambda item: (item[0].weights, item[0].slot))

    def release(self, sequence: Sequence) -> None:
        """Free the slot; what it holds stays usable as the beginning of another prompt."""
        slot = self._slots[sequence.slot]
        slot.sequence, slot.ids, slot.last_used = None, sequence.ids[: sequence.num_cached], self._steps

    def rest(self) -> None:
        """Give the cache's memory back, unless it is in use."""
        if not self.running():
            self._forget()

    def fail(self, error: BaseException) -> None:
        """End all sequences with `error`, and trust nothing that is cached."""
        for sequence in [*self.running(), *self._waiting]:
            sequence.deliver(error)
        self._waiting.clear()
        self._forget()

    def _forget(self) -> None:
        self._cache.clear()
        for slot in self._slots:
            slot.clear()

    def _free_slots(self) -> list[int]:
        return [index for index, slot in enumerate(self._slots) if slot.sequence is None]

    def _place(self, sequence: Sequence, prefix: SharedPrefix) -> bool:
        """Put a sequence into a slot, with the beginning that some slot holds already, if there is room."""
        target = next((slot for slot in self._targets(prefix) if self._fits(sequence, slot)), None)
        if target is None:
            if self.running():
                return False
            # Alone, it gets whatever it takes, but nothing beside it.
            self._forget()
            target, prefix = 0, SharedPrefix(-1, 0, False)
        self._cache.reserve(target + 1, sequence.max_length)
        if prefix.num_tokens:
            self._cache.copy_prefix(prefix.source, target, prefix.num_tokens)
            sequence.num_cached = prefix.num_tokens
        slot = self._slots[target]
        slot.sequence, slot.weights, slot.ids = sequence, sequence.weights, []
        sequence.start(target)
        return True

    def _targets(self, prefix: SharedPrefix) -> list[int]:
        """The free slots, best first: one that holds little but `prefix`, then the longest unused."""
        free = self._free_slots()
        by_age = sorted(free, key=lambda i: (bool(self._slots[i].ids), self._slots[i].last_used, i))
        if prefix.source in free and 2 * prefix.num_tokens >= len(self._slots[prefix.source].ids):
            return [prefix.source, *by_age]
        return by_age

    def _fits(self, sequence: Sequence, target: int) -> bool:
        return self._cache.bytes_for(target + 1, sequence.max_length) <= self._cache_bytes
