"""Paired gains of every kind of metric."""

import math

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from simulated_scores import seeded, singletons
from tunewise.data.split import examples_to_detect
from tunewise.evaluate.stats import MIN_DIFFERING_GROUPS, paired_gain, tango


def paired(first, second, groups=None, kind=None):
    ids = singletons(len(first))
    names = dict(zip(ids, groups or ids, strict=True))
    first, second = (dict(zip(ids, map(float, scores), strict=True)) for scores in (first, second))
    return paired_gain(first, second, names, seeded(), kind)


def test_a_paired_gain_counts_what_changed():
    gain = paired([1] * 60 + [0] * 40, [1] * 40 + [0] * 50 + [1] * 10)
    assert gain.estimate == pytest.approx(0.10)
    assert gain.discordance == pytest.approx(0.30)
    assert gain.design_effect == pytest.approx(1)
    interval = tango(20, 10, 100, dof=99)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert gain.p_two_sided == pytest.approx(mcnemar([[0, 20], [10, 0]], exact=True).pvalue)
    assert gain.p_one_sided == pytest.approx(gain.p_two_sided / 2)


def test_a_gain_is_sure_only_where_interval_and_test_agree():
    # By an interval alone five wins and no loss would do, by a test alone nine partial gains.
    five, six = (paired([1] * wins + [0] * (100 - wins), [0] * 100) for wins in (5, 6))
    assert five.low > 0
    assert five.p_one_sided == pytest.approx(1 / 32)
    assert not five.is_sure
    assert six.is_sure
    nine = paired([0.9] * 9 + [0.5] * 20, [0.5] * 29)
    assert nine.p_one_sided < 0.025
    assert nine.low < 0
    assert not nine.is_sure


def test_groups_widen_a_paired_gain():
    tuned, rival = [1] * 30 + [0] * 10 + [1] * 60, [0] * 30 + [1] * 10 + [1] * 60
    alone, grouped = paired(tuned, rival), paired(tuned, rival, [str(i // 10) for i in range(100)])
    assert grouped.low < 0 < alone.low


def test_answers_that_differ_a_little_take_few_examples_to_compare():
    """Nearly all texts differ in chrF, so a count of those that do would ask for hundreds of examples."""
    rng = seeded()
    gain = paired(rng.uniform(0.4, 0.6, 400), rng.uniform(0.4, 0.6, 400))
    assert gain.discordance == pytest.approx(2 * 0.2**2 / 12, rel=0.1)
    assert examples_to_detect(0.10, gain.discordance) < 100


def test_few_partial_gains_cannot_tell_and_many_can():
    differing = MIN_DIFFERING_GROUPS
    tuned = [0.9 - 0.01 * i for i in range(differing)] + [0.5] * 20
    gain = paired(tuned, [0.5] * len(tuned))
    assert 0 < gain.low < gain.estimate < gain.high < 1
    gain = paired(tuned[1:], [0.5] * (len(tuned) - 1))
    assert (gain.low, gain.high) == (-1, 1)


def test_examples_must_pair_up():
    groups = {"a": "a", "b": "b"}
    with pytest.raises(ValueError, match="1 examples are not on both sides, such as b"):
        paired_gain({"a": 1.0, "b": 1.0}, {"a": 1.0}, groups, seeded())
    with pytest.raises(ValueError, match="such as c"):
        paired_gain({"a": 1.0, "c": 0.0}, {"a": 1.0, "c": 0.0}, groups, seeded())
    with pytest.raises(ValueError, match="no examples"):
        paired_gain({}, {}, groups, seeded())
    with pytest.raises(ValueError, match="undefined"):
        paired_gain({"a": math.nan}, {"a": 1.0}, groups, seeded())


def test_what_a_metric_is_can_be_said_and_is_checked():
    tuned, rival = [1] * 12 + [0] * 20, [0] * 12 + [0] * 20
    assert paired(tuned, rival) == paired(tuned, rival, kind="binary")
    assert paired(tuned, rival, kind="bounded").high != paired(tuned, rival).high
    with pytest.raises(ValueError, match=r"from 0 to 0.5 are not those of a binary metric"):
        paired([0.5, 0], [0, 0], kind="binary")
    with pytest.raises(ValueError, match="not those of a bounded metric"):
        paired([-1, 0], [0, 0], kind="bounded")


# --- A judge's comparisons


def test_a_judge_that_prefers_the_first_place_sees_no_difference():
    gain = paired([1] * 40, [1] * 40, kind="judge")
    assert (gain.estimate, gain.discordance, gain.p_one_sided) == (0, 0, 1)
    assert gain.low < 0 < gain.high


def test_a_judge_counts_where_both_orders_agree():
    # 30 times better, 10 times worse, 20 ties, and 40 that depend on the order.
    shown_first = [1] * 30 + [-1] * 10 + [0] * 20 + [1] * 20 + [0] * 20
    shown_last = [-1] * 30 + [1] * 10 + [0] * 20 + [1] * 20 + [-1] * 20
    gain = paired(shown_first, shown_last, kind="judge")
    assert gain.estimate == pytest.approx(0.20)
    assert gain.discordance == pytest.approx(0.40)
    interval = tango(30, 10, 100, dof=99)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert gain.p_two_sided == pytest.approx(mcnemar([[0, 30], [10, 0]], exact=True).pvalue)


def test_a_judge_says_better_worse_or_tie():
    with pytest.raises(ValueError, match="judge"):
        paired([0.5], [0], kind="judge")


# --- Labels


def test_labels_are_compared_by_macro_f1():
    ids = singletons(90)
    expected = dict(zip(ids, ["common"] * 60 + ["rare"] * 30, strict=True))
    groups, always_common = dict(zip(ids, ids, strict=True)), dict.fromkeys(ids, "common")
    gain = paired_gain(expected, always_common, groups, seeded(), "labels", expected)
    assert gain.estimate == pytest.approx(1 - 0.8 / 2)
    assert 0 < gain.low < gain.estimate <= gain.high
    assert gain.p_one_sided < 0.001
    assert gain.discordance == pytest.approx(1 / 3)


def test_labels_need_the_expected_ones():
    with pytest.raises(ValueError, match="expected"):
        paired_gain({"a": "x"}, {"a": "y"}, {"a": "a"}, seeded(), "labels")
    with pytest.raises(ValueError, match="expected"):
        paired_gain({"a": "x"}, {"a": "y"}, {"a": "a"}, seeded(), "labels", {"b": "x"})
