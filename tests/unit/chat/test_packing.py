from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from toy import make_model
from tunewise.chat.packing import pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample
from tunewise.models.attention import PackedLayout


def random_examples(lengths: list[int], seed: int = 0) -> list[TokenizedExample]:
    generator = torch.Generator().manual_seed(seed)
    return [
        TokenizedExample(
            torch.randint(2, 258, (n,), generator=generator).tolist(), [i >= n // 2 for i in range(n)]
        )
        for n in lengths
    ]


def test_packed_logits_are_those_of_each_example_alone() -> None:
    examples = random_examples([3, 17, 2, 40, 9])
    pack = pack_examples(examples)
    packed = make_model()(
        input_ids=pack.input_ids,
        position_ids=pack.position_ids,
        use_cache=False,
        layout=PackedLayout(pack.lengths),
    ).logits[0]
    plain = make_model(attention="eager")
    start = 0
    for example, length in zip(examples, pack.lengths, strict=True):
        alone = plain(input_ids=torch.tensor([example.ids[:-1]])).logits[0]
        torch.testing.assert_close(packed[start : start + length], alone, atol=2e-5, rtol=1e-4)
        start += length


def test_a_change_in_one_example_changes_nothing_in_another() -> None:
    first, second = random_examples([12, 9])
    other = random_examples([12], seed=5)[0]
    model = make_model()

    def logits_of_second(companion: TokenizedExample) -> torch.Tensor:
        pack = pack_examples([companion, second])
        layout = PackedLayout(pack.lengths)
        out = model(input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False, layout=layout)
        return out.logits[0, pack.lengths[0] :]

    assert torch.equal(logits_of_second(first), logits_of_second(other))


def test_a_pack_says_which_positions_predict_which_trained_tokens() -> None:
    pack = pack_examples(
        [TokenizedExample([5, 6, 7], [False, True, True]), TokenizedExample([8, 9], [False, True])]
    )
    assert pack.input_ids.tolist() == [[5, 6, 8]]
    assert pack.position_ids.tolist() == [[0, 1, 0]]
    assert pack.predicting.tolist() == [0, 1, 2]
    assert pack.targets.tolist() == [6, 7, 9]


@given(st.lists(st.integers(2, 50), min_size=1, max_size=30), st.integers(2, 60))
def test_micro_batches_keep_every_example_in_order_and_their_token_limit(
    lengths: list[int], limit: int
) -> None:
    examples = random_examples(lengths)
    batches = split_by_tokens(examples, limit)
    assert [e for batch in batches for e in batch] == examples
    assert all(len(batch) == 1 or sum(len(e.ids) for e in batch) <= limit for batch in batches)
