"""Macro-F1: the score, its interval and its test."""

import time
from itertools import product

import numpy as np
import pytest

from simulated_scores import draw_labels, groups_of, seeded, singletons
from tunewise.evaluate.stats import MIN_DIFFERING_GROUPS, macro_f1, macro_f1_gain, macro_f1_interval


def score_by_definition(predicted, expected):
    """From the definition, by precision and recall."""
    scores = []
    for label in set(expected):
        right = sum(p == e == label for p, e in zip(predicted, expected, strict=True))
        precision = right / max(1, predicted.count(label))
        recall = right / expected.count(label)
        scores.append(2 * precision * recall / (precision + recall) if right else 0.0)
    return sum(scores) / len(scores)


def test_the_score_is_the_mean_of_each_labels_f1():
    # Label a: 2 of 3 answered rightly, of 3 answered: F1 2/3. Label b: 1 of 2, of 2: 1/2.
    predicted, expected = ["a", "a", "b", "b", "a"], ["a", "a", "a", "b", "b"]
    score = macro_f1_interval(predicted, expected, singletons(5), seeded())
    assert score.estimate == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert 0 <= score.low < score.estimate < score.high <= 1


def test_an_answer_that_is_no_label_is_wrong_and_no_label_of_its_own():
    expected = ["a", "a", "b", "b"]
    for nothing in (None, "maybe", "A"):
        answered = ["a", nothing, "b", "b"]
        assert macro_f1_interval(answered, expected, singletons(4), seeded()).estimate == pytest.approx(
            (2 / 3 + 1) / 2
        )


def test_a_rare_label_counts_as_much_as_a_common_one():
    expected = ["ham"] * 9 + ["spam"]
    assert macro_f1(["ham"] * 10, expected) == pytest.approx((2 * 9 / 19 + 0) / 2)
    assert macro_f1(expected, expected) == 1


def test_answers_that_never_vary_say_nothing_about_new_ones():
    score = macro_f1_interval(["a"] * 20, ["a"] * 20, singletons(20), seeded())
    assert (score.estimate, score.low, score.high) == (1, 0, 1)
    score = macro_f1_interval(["a", "b"] * 10, ["b", "b"] * 10, ["one"] * 20, seeded())
    assert (score.low, score.high) == (0, 1)


def test_the_score_is_that_of_the_definition_on_random_answers():
    expected, (answered,) = draw_labels(seeded(4), 200, 1, [0.6, 0.3, 0.1], [0.7])
    score = macro_f1_interval(answered, expected, singletons(200), seeded())
    assert score.estimate == pytest.approx(score_by_definition(answered, expected))
    assert macro_f1(answered, expected) == score.estimate


def test_the_gain_is_the_difference_of_both_scores():
    expected, (ours, theirs) = draw_labels(seeded(4), 100, 1, [0.6, 0.3, 0.1], [0.9, 0.6])
    gain, chance = macro_f1_gain(ours, theirs, expected, singletons(100), seeded())
    assert gain.estimate == pytest.approx(
        score_by_definition(ours, expected) - score_by_definition(theirs, expected)
    )
    assert gain.low < gain.estimate < gain.high
    assert chance.one_sided <= 0.025
    back, _ = macro_f1_gain(theirs, ours, expected, singletons(100), seeded())
    assert (back.low, back.high) == pytest.approx((-gain.high, -gain.low))


def test_with_few_groups_every_swap_is_tried():
    expected, (ours, theirs) = draw_labels(seeded(2), 7, 4, [0.5, 0.3, 0.2], [0.9, 0.4])
    groups = groups_of(7, 4)
    gains = []
    for swapped in product([False, True], repeat=7):
        swap = [swapped[int(group)] for group in groups]
        first = [b if s else a for a, b, s in zip(ours, theirs, swap, strict=True)]
        second = [a if s else b for a, b, s in zip(ours, theirs, swap, strict=True)]
        gains.append(score_by_definition(first, expected) - score_by_definition(second, expected))
    _, chance = macro_f1_gain(ours, theirs, expected, groups, seeded())
    assert chance.one_sided == np.mean(np.array(gains) >= gains[0] - 1e-9)
    assert chance.two_sided == np.mean(np.abs(gains) >= abs(gains[0]) - 1e-9)


def test_few_groups_that_differ_cannot_tell():
    expected = ["a", "b"] * 30
    theirs = [None] * MIN_DIFFERING_GROUPS + expected[MIN_DIFFERING_GROUPS:]
    gain, _ = macro_f1_gain(expected, theirs, expected, singletons(60), seeded())
    assert 0 < gain.low < gain.estimate
    theirs[0] = "a"
    gain, _ = macro_f1_gain(expected, theirs, expected, singletons(60), seeded())
    assert (gain.low, gain.high) == (-1, 1)


def test_systems_that_answer_alike_have_gained_nothing():
    labels = ["a", "b"] * 20
    interval, chance = macro_f1_gain(labels, labels, labels, singletons(40), seeded())
    assert (interval.estimate, interval.low, interval.high) == (0, -1, 1)
    assert chance.one_sided == 1


def test_copies_within_groups_widen_the_interval():
    expected, (ours, theirs) = draw_labels(seeded(3), 40, 1, [0.5, 0.5], [0.85, 0.65])
    alone, _ = macro_f1_gain(ours, theirs, expected, singletons(40), seeded())
    copied = [[label for label in labels for _ in range(5)] for labels in (ours, theirs, expected)]
    grouped, _ = macro_f1_gain(*copied, groups_of(40, 5), seeded())
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    ignoring, _ = macro_f1_gain(*copied, singletons(200), seeded())
    assert ignoring.high - ignoring.low < 0.6 * (grouped.high - grouped.low)


def test_five_thousand_draws_of_a_thousand_examples_take_no_time():
    expected, (ours, theirs) = draw_labels(seeded(), 1000, 1, [0.1] * 10, [0.8, 0.7])
    started = time.process_time()
    macro_f1_gain(ours, theirs, expected, singletons(1000), seeded())
    assert time.process_time() - started < 2  # a third of a second on a machine that does nothing else
