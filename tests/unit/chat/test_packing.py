from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from tunewise.chat.packing import WORTH_SHARING_TOKENS, Pack, pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample


def random_examples(lengths: list[int], seed: int = 0, shared: int = 0) -> list[TokenizedExample]:
    """Rows that begin with the same `shared` tokens; loss is on their second half."""
    generator = torch.Generator().manual_seed(seed)

    def tokens(number: int) -> list[int]:
        return torch.randint(2, 258, (number,), generator=generator).tolist()

    beginning = tokens(shared)
    rows = [beginning[:n] + tokens(max(n - shared, 0)) for n in lengths]
    return [TokenizedExample(ids, [i >= len(ids) // 2 for i in range(len(ids))]) for ids in rows]


def conversations(pack: Pack) -> list[list[int]]:
    """Every segment's tokens behind those of its ancestors."""
    segments = torch.split(pack.input_ids[0], list(pack.lengths))
    whole: list[list[int]] = []
    for segment, parent in zip(segments, pack.parents, strict=True):
        whole.append([*(whole[parent] if parent is not None else []), *segment.tolist()])
    return whole


def test_examples_with_nothing_in_common_are_a_segment_each() -> None:
    examples = random_examples([3, 17, 2, 40, 9])
    pack = pack_examples(examples)
    assert set(pack.parents) == {None}
    assert sorted(conversations(pack)) == sorted(example.ids[:-1] for example in examples)


def test_a_pack_says_which_positions_predict_which_trained_tokens() -> None:
    pack = pack_examples(
        [TokenizedExample([8, 9], [False, True]), TokenizedExample([5, 6, 7], [False, True, True])]
    )
    assert pack.input_ids.tolist() == [[5, 6, 8]]
    assert pack.position_ids.tolist() == [[0, 1, 0]]
    assert pack.predicting.tolist() == [2, 0, 1]
    assert pack.targets.tolist() == [9, 6, 7]


def test_a_common_beginning_is_computed_once() -> None:
    examples = random_examples([30, 40, 35], shared=20)
    pack = pack_examples(examples)
    assert pack.num_tokens == 20 + 9 + 19 + 14
    assert pack.parents == (None, 0, 0, 0)
    assert pack.position_ids[0].tolist()[20:22] == [20, 21]


def test_one_beginning_can_hold_others() -> None:
    trunk, branch, leaf = list(range(20)), list(range(50, 70)), [90, 91, 92]
    rows = [[*trunk, 30, 31], [*trunk, *branch, 80, 81], [*trunk, *branch, *leaf], [200, 201]]
    pack = pack_examples([TokenizedExample(ids, [False, *[True] * (len(ids) - 1)]) for ids in rows])
    assert pack.num_tokens == 20 + 1 + 20 + 1 + 2 + 1
    assert {tuple(row[:-1]) for row in rows} <= {tuple(whole) for whole in conversations(pack)}


def test_what_is_alike_but_short_is_computed_again() -> None:
    pack = pack_examples(random_examples([30, 40], shared=WORTH_SHARING_TOKENS - 1))
    assert pack.parents == (None, None)
    assert pack_examples(random_examples([30, 40], shared=WORTH_SHARING_TOKENS)).num_tokens == 68 - 16


def test_an_example_may_be_the_beginning_of_another_or_the_same() -> None:
    long = random_examples([60])[0]
    short = TokenizedExample(long.ids[:31], [False] * 30 + [True])
    pack = pack_examples([short, long, long])
    assert pack.num_tokens == 59
    # Each of them predicts from the shared tokens on its own account.
    assert len(pack.predicting) == 1 + 30 + 30
    assert pack.predicting.tolist().count(29) == 3


@given(
    st.lists(st.integers(2, 50), min_size=1, max_size=30),
    st.integers(2, 60),
    st.integers(0, 30),
)
def test_micro_batches_hold_every_example_once_and_keep_their_token_limit(
    lengths: list[int], limit: int, shared: int
) -> None:
    examples = random_examples(lengths, shared=shared)
    batches = split_by_tokens(examples, limit)
    assert sorted(index for batch in batches for index in batch) == list(range(len(examples)))
    for batch in batches:
        pack = pack_examples([examples[index] for index in batch])
        assert len(batch) == 1 or pack.num_tokens <= limit


@given(st.lists(st.lists(st.integers(0, 1), min_size=2, max_size=60), min_size=1, max_size=12))
def test_a_pack_holds_every_example_whole(rows: list[list[int]]) -> None:
    """Two tokens only, so that the rows branch in all ways."""
    examples = [TokenizedExample(ids, [False, *[True] * (len(ids) - 1)]) for ids in rows]
    pack = pack_examples(examples)
    place = iter(zip(pack.predicting.tolist(), pack.targets.tolist(), strict=True))
    positions, ids = pack.position_ids[0].tolist(), pack.input_ids[0].tolist()
    for example in examples:
        for position, (token, target) in enumerate(zip(example.ids, example.ids[1:], strict=False)):
            index, predicted = next(place)
            assert (ids[index], positions[index], predicted) == (token, position, target)


def test_examples_that_begin_alike_meet_in_one_micro_batch() -> None:
    first, second = (random_examples([30] * 4, seed=seed, shared=20) for seed in (1, 2))
    mixed = [example for pair in zip(first, second, strict=True) for example in pair]
    batches = split_by_tokens(mixed, 60)
    assert sorted(sorted(batch) for batch in batches) == [[0, 2, 4, 6], [1, 3, 5, 7]]
