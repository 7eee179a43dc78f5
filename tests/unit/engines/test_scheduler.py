"""Random traffic through the scheduler, with a cache that holds token ids in place of keys."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toy import make_tokenizer
from tunewise.engines.base import Delta
from tunewise.engines.kv_cache import CAPACITY_STEP, KVCache
from tunewise.engines.scheduler import CACHE_BYTES, Scheduler
from tunewise.engines.sequence import Sequence
from tunewise.records import ChatRequest, Message

TOKENIZER = make_tokenizer()
END = 1
SLOT_BYTES = 2 * 4 * CAPACITY_STEP
"""Of a cache of one layer, head and dimension in fp32: keys and values."""


@dataclass
class Visitor:
    """A request and what became of it."""

    sequence: Sequence
    answers: list[object]
    cancel_at: int


prompts = st.builds(
    lambda shared, own: [2] * shared + own,
    st.sampled_from([0, 20, 40]),
    st.lists(st.integers(3, 9), min_size=1, max_size=60),
)
visitors = st.tuples(
    prompts, st.integers(1, 6), st.sampled_from(["a", "b"]), st.integers(0, 12), st.integers(0, 60)
)


def make_visitor(ids: list[int], max_tokens: int, model: str, cancel_at: int) -> Visitor:
    answers: list[object] = []
    request = ChatRequest(model, (Message("user", ""),), max_tokens)
    sequence = Sequence(
        request,
        ids,
        max_tokens,
        frozenset({END}),
        None,
        None,
        TOKENIZER,
        answers.append,
        streamed=False,
        index=0,
    )
    sequence.weights = ord(model)
    return Visitor(sequence, answers, cancel_at)


def compute(cache: KVCache, scheduler: Scheduler, max_step_tokens: int, next_token: int) -> set[int]:
    """One step as the engine makes it; checks what the scheduler promised of it. Returns the slots used."""
    chunks = scheduler.schedule()
    slots = [chunk.slot for _, chunk in chunks]
    assert len(set(slots)) == len(slots), "a slot was used twice"
    weights = [sequence.weights for sequence, _ in chunks]
    assert weights == sorted(weights), "an adapter's tokens do not lie side by side"
    prompt_tokens = [chunk.end - chunk.start for s, chunk in chunks if chunk.end - chunk.start > 1]
    assert sum(prompt_tokens) <= max_step_tokens
    for sequence, chunk in chunks:
        assert chunk.start == sequence.num_cached
        cached = cache.states[0, 0, chunk.slot, 0, :, 0]
        assert cached[: chunk.start].tolist() == sequence.ids[: chunk.start], "another prompt's beginning"
        cached[chunk.start : chunk.end] = torch.tensor(sequence.ids[chunk.start : chunk.end])
        sequence.num_cached = chunk.end
    for sequence, _ in chunks:
        if sequence.num_cached == len(sequence.ids) and sequence.append(next_token):
            scheduler.release(sequence)
    return set(slots)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(visitors, min_size=1, max_size=25),
    st.integers(1, 4),
    st.integers(4, 40),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
    st.sampled_from([CACHE_BYTES, 2 * SLOT_BYTES]),
)
def test_every_request_is_answered_once_and_no_slot_serves_two(
    traffic: list[tuple[list[int], int, str, int, int]],
    max_slots: int,
    max_step_tokens: int,
    tokens: list[int],
    cache_bytes: int,
) -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(
        cache, max_slots=max_slots, max_step_tokens=max_step_tokens, cache_bytes=cache_bytes
    )
    arriving = sorted(traffic, key=lambda visitor: visitor[3])
    present: list[Visitor] = []
    step = 0
    while arriving or scheduler.has_work():
        while arriving and arriving[0][3] <= step:
            ids, max_tokens, model, _, patience = arriving.pop(0)
            present.append(make_visitor(ids, max_tokens, model, step + patience))
            scheduler.submit([present[-1].sequence])
        for visitor in present:
            if visitor.cancel_at == step:
                visitor.sequence.cancel()
        scheduler.admit()
        assert cache.states.nbytes <= cache_bytes
        assert not any(sequence.cancelled for sequence in scheduler.running()), (
            "a cancelled one kept its slot"
        )
        used = compute(cache, scheduler, max_step_tokens, tokens[step % len(tokens)])
        assert used or not scheduler.running()
        step += 1
        assert step < 10_000, "somebody is never served"
    for visitor in present:
        answered = [a for a in visitor.answers if isinstance(a, Delta) and a.completion is not None]
        assert len(answered) == (0 if visitor.sequence.cancelled and not answered else 1)
        assert answered or visitor.sequence.cancelled


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 3))
def test_who_came_first_is_served_first(sizes: list[int], max_slots: int) -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache, max_slots=max_slots, max_step_tokens=8)
    sequences = [make_visitor([3] * size, 2, "a", 0).sequence for size in sizes]
    scheduler.submit(sequences)
    started: list[Sequence] = []
    while scheduler.has_work():
        scheduler.admit()
        started += [s for s in sequences if s in scheduler.running() and s not in started]
        compute(cache, scheduler, 8, 4)
    assert started == sequences


def test_a_shared_beginning_is_computed_once() -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache)
    shared = list(range(2, 52))
    sequences = [make_visitor([*shared, 60 + i], 2, "a", 0).sequence for i in range(5)]
    scheduler.submit(sequences)
    computed = 0
    while scheduler.has_work():
        scheduler.admit()
        computed += sum(chunk.end - chunk.start for _, chunk in scheduler.schedule())
        compute(cache, scheduler, 768, 4)
    assert computed == len(shared) + 5 + 5


def serve(scheduler: Scheduler, cache: KVCache, *sequences: Sequence) -> None:
    scheduler.submit(sequences)
    while scheduler.has_work():
        scheduler.admit()
        compute(cache, scheduler, 768, 4)


def test_requests_one_after_the_other_keep_the_cache_within_its_bytes() -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache, cache_bytes=4 * SLOT_BYTES)
    for i in range(20):
        serve(scheduler, cache, make_visitor([3 + i % 7] * 50, 2, "a", 0).sequence)
        assert cache.states.nbytes <= 4 * SLOT_BYTES


def test_one_that_is_larger_than_the_budget_is_served_alone_and_its_memory_given_back() -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache, cache_bytes=4 * SLOT_BYTES)
    large = make_visitor([3] * (9 * CAPACITY_STEP), 2, "a", 0).sequence
    serve(scheduler, cache, make_visitor([4] * 50, 2, "a", 0).sequence, large)
    small = [make_visitor([5 + i] * 50, 2, "a", 0).sequence for i in range(3)]
    scheduler.submit(small)
    for _ in range(2):
        scheduler.admit()
        compute(cache, scheduler, 768, 4)
    assert cache.states.nbytes <= 4 * SLOT_BYTES


def test_one_that_has_to_wait_for_memory_is_not_overtaken() -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache, cache_bytes=4 * SLOT_BYTES)
    first = make_visitor([3] * 50, 6, "a", 0).sequence
    large = make_visitor([4] * (3 * CAPACITY_STEP), 2, "a", 0).sequence
    later = make_visitor([5] * 50, 2, "a", 0).sequence
    scheduler.submit([first, large, later])
    scheduler.admit()
    assert scheduler.running() == [first]
    serve(scheduler, cache)
    assert large.num_cached > 0
    assert later.num_cached > 0


def test_a_stranger_with_the_same_header_does_not_cost_a_conversation_its_place() -> None:
    cache = KVCache(1, 1, 1, torch.float32, torch.device("cpu"))
    scheduler = Scheduler(cache)
    header = list(range(2, 32))
    conversation = [*header, *[40] * 200]
    serve(scheduler, cache, make_visitor(conversation, 2, "a", 0).sequence)
    serve(scheduler, cache, make_visitor([*header, 50], 2, "a", 0).sequence)
    next_turn = make_visitor([*conversation, 60], 2, "a", 0).sequence
    scheduler.submit([next_turn])
    scheduler.admit()
    assert next_turn.num_cached == len(conversation)
