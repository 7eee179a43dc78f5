"""The three sides, the sealed test set, and how large it must be."""

import random
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.data.split import (
    SealedTest,
    detectable_difference,
    effective_examples,
    examples_to_detect,
    side_sizes,
    split_examples,
    split_for_training,
)
from tunewise.errors import DataError
from tunewise.records import Example, Message

PATH = "data.jsonl"


def examples(group_sizes):
    made = []
    for group, size in enumerate(group_sizes):
        for _ in range(size):
            number = len(made)
            messages = (Message("user", f"q{number}"), Message("assistant", "a"))
            made.append(Example(f"{number * 2654435761 % 2**32:016x}", messages, number + 1, f"g{group}"))
    return made


def sides(split):
    return [{e.id for e in side} for side in (split.train, split.validation, split.test.read("checking"))]


def sizes(split):
    return len(split.train), len(split.validation), len(split.test)


def test_the_power_calculation_gives_the_published_sizes():
    assert examples_to_detect(0.10, 0.30) == 234
    assert examples_to_detect(0.03, 0.30) == 2614
    assert examples_to_detect(1.0, 0.3) == 4
    assert detectable_difference(30, 0.30) == pytest.approx(0.27, abs=0.005)
    assert detectable_difference(100, 0.30) == pytest.approx(0.15, abs=0.005)
    assert detectable_difference(200, 0.30) == pytest.approx(0.11, abs=0.005)
    assert detectable_difference(1000, 0.30) == pytest.approx(0.05, abs=0.005)


def test_two_that_never_disagreed_may_still_differ_on_new_examples():
    """As if all of the difference were in disagreements."""
    assert detectable_difference(100, 0.0) == pytest.approx(detectable_difference(100, 0.001))
    assert examples_to_detect(detectable_difference(100, 0.0), 0.0) == pytest.approx(100, abs=1)


def test_examples_that_come_in_groups_have_to_be_as_many_more():
    assert examples_to_detect(0.10, 0.30, design_effect=2.5) == 585
    assert detectable_difference(585, 0.30, design_effect=2.5) == detectable_difference(234, 0.30)


def test_so_many_examples_do_detect_the_difference_four_times_out_of_five():
    rng = random.Random(0)
    n, wins = examples_to_detect(0.10, 0.30), 0
    for _ in range(2000):
        draws = [rng.random() for _ in range(n)]
        b, c = sum(d < 0.2 for d in draws), sum(0.2 <= d < 0.3 for d in draws)
        wins += (b - c) / max(1, b + c) ** 0.5 > 1.96
    assert 0.77 <= wins / 2000 <= 0.84


@given(st.integers(4, 5000), st.floats(0.01, 1))
def test_the_two_power_formulas_are_inverse(n, discordance):
    difference = detectable_difference(n, discordance)
    assert 0 < difference <= 1
    assert abs(examples_to_detect(difference, discordance) - n) <= 1


def test_three_examples_detect_nothing_and_no_difference_is_never_detected():
    assert detectable_difference(3, 0.3) is None
    with pytest.raises(ValueError, match="cannot be detected"):
        examples_to_detect(0.0, 0.3)


def test_a_large_file_gives_the_test_set_what_it_needs_and_no_more():
    split = split_examples(examples([1] * 1143), seed=0, path=PATH)
    assert sizes(split) == (809, 100, 234)
    assert split.describe() == "train 809, validation 100, test 234: enough to see a difference of 10 points"


def test_a_small_file_gives_at_most_a_quarter():
    assert side_sizes([1] * 100) == (65, 10, 25)
    assert side_sizes([1] * 20) == (10, 5, 5)


def test_ten_examples_are_enough_to_fill_every_side():
    split = split_examples(examples([1] * 10), seed=0, path=PATH)
    assert sizes(split) == (6, 2, 2)
    assert split.describe().endswith("too few to see any difference")


def test_nine_examples_are_refused_with_what_is_needed():
    with pytest.raises(DataError, match=r"data.jsonl: 9 usable examples: at least 10 .* about 50"):
        split_examples(examples([1] * 9), seed=0, path=PATH)


def test_fewer_than_three_groups_are_refused():
    with pytest.raises(DataError, match="only 2 different inputs or groups"):
        split_examples(examples([20, 20]), seed=0, path=PATH)


def test_big_groups_do_not_break_the_sizes():
    train, validation, test = sizes(split_examples(examples([400, 200] + [1] * 400), seed=0, path=PATH))
    assert (validation, test) == (100, 250)
    assert train == 650


@pytest.mark.parametrize("groups", [[97, 1, 1, 1], [10, 10, 10], [100] * 4, [50, 40] + [1] * 10, [8, 1, 1]])
def test_no_side_is_left_empty_by_big_groups(groups):
    assert all(sizes(split_examples(examples(groups), seed=1, path=PATH)))


group_sizes = st.lists(st.integers(1, 12), min_size=3, max_size=60).filter(lambda sizes: sum(sizes) >= 10)


@given(group_sizes, st.integers())
def test_every_example_is_on_one_side_and_no_group_on_two(group_sizes, seed):
    rows = examples(group_sizes)
    split = split_examples(rows, seed, path=PATH)
    on_sides = [split.train, split.validation, split.test.read("checking")]
    assert sorted(e.id for side in on_sides for e in side) == sorted(e.id for e in rows)
    groups = [{e.group for e in side} for side in on_sides]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert split.test.num_groups == len(groups[2])


@given(group_sizes, st.integers(), st.integers())
def test_the_order_of_the_rows_changes_nothing(group_sizes, seed, shuffle):
    rows = examples(group_sizes)
    shuffled = random.Random(shuffle).sample(rows, len(rows))
    first, second = split_examples(rows, seed, path=PATH), split_examples(shuffled, seed, path=PATH)
    assert sides(first) == sides(second)
    assert first.test.seal == second.test.seal


def test_another_seed_gives_another_split():
    rows = examples([1] * 100)
    assert split_examples(rows, 0, path=PATH).test.seal != split_examples(rows, 1, path=PATH).test.seal


def test_every_read_of_the_test_set_is_logged():
    sealed = SealedTest(examples([1, 1]))
    assert sealed.reads == ()
    before = time.time()
    assert len(sealed.read("final scores")) == 2
    (read,) = sealed.reads
    assert read.purpose == "final scores"
    assert before <= read.at <= time.time()


def test_the_test_set_gives_its_rows_to_nothing_but_read():
    sealed = SealedTest(examples([1, 1]))
    assert len(sealed) == 2
    with pytest.raises(TypeError):
        iter(sealed)
    with pytest.raises(TypeError):
        sealed[0]
    assert not hasattr(sealed, "examples")
    assert "q0" not in repr(sealed)


def test_the_seal_depends_on_the_rows_and_not_on_their_order():
    rows = examples([1, 1, 1])
    assert SealedTest(rows).seal == SealedTest(rows[::-1]).seal != SealedTest(rows[:2]).seal


def test_a_training_alone_splits_by_the_same_rules_and_leaves_nothing_over():
    rows = examples([3, 2, *[1] * 55])
    split = split_for_training(rows, seed=0, path="x.jsonl")
    assert sorted(e.id for e in (*split.train, *split.validation)) == sorted(e.id for e in rows)
    assert len(split.validation) == len(split_examples(rows, seed=0, path="x.jsonl").validation)
    assert not {e.group for e in split.train} & {e.group for e in split.validation}
    assert split == split_for_training(rows[::-1], seed=0, path="x.jsonl")
    with pytest.raises(DataError, match=r"at least 2 are needed.* of train and validation"):
        split_for_training(examples([12]), seed=0, path="x.jsonl")


def labelled(counts):
    rows = examples([1] * sum(counts.values()))
    labels = [label for label, count in counts.items() for _ in range(count)]
    return [
        replace(row, messages=(row.messages[0], Message("assistant", label)))
        for row, label in zip(rows, labels, strict=True)
    ]


def test_each_side_has_the_labels_in_the_same_shares():
    rows = labelled({"positive": 500, "neutral": 300, "negative": 180, "mixed": 20})
    split = split_examples(rows, seed=3, path=PATH)
    for side in (split.train, split.validation, split.test.read("checking")):
        counts = Counter(row.answer for row in side)
        assert counts["positive"] / len(side) == pytest.approx(0.5, abs=0.011)
        assert counts["negative"] / len(side) == pytest.approx(0.18, abs=0.011)
        assert counts["mixed"] / len(side) == pytest.approx(0.02, abs=0.011)


def test_a_rare_label_is_trained_on_before_it_is_tested():
    split = split_examples(labelled({"a": 60, "b": 38, "rare": 2}), seed=0, path=PATH)
    assert sum(row.answer == "rare" for row in split.train) == 2


def test_answers_that_are_no_labels_are_kept_in_proportion_by_length():
    rows = labelled({"x" * length: 1 for length in range(1, 401)})
    split = split_examples(rows, seed=0, path=PATH)
    for side in (split.train, split.validation, split.test.read("checking")):
        assert sum(len(row.answer) <= 100 for row in side) / len(side) == pytest.approx(0.25, abs=0.02)


def test_large_groups_need_more_examples_and_show_less():
    assert effective_examples([1] * 234) == 234
    assert effective_examples([11] * 40) == pytest.approx(220)
    assert side_sizes([11] * 400)[2] == 468
    split = split_examples(examples([11] * 40), seed=0, path=PATH)
    assert split.describe() == (
        "train 286, validation 44, test 110 in 10 groups: enough to see a difference of 20 points"
    )


def test_a_file_set_aside_is_the_side_it_was_set_aside_for():
    rows = examples([1] * 60)
    split = split_examples(rows[:40], seed=0, path=PATH, given={"test": rows[40:]})
    assert sizes(split) == (35, 5, 20)
    assert {e.id for e in split.test.read("checking")} == {e.id for e in rows[40:]}
