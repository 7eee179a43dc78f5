"""The statistics, against other people's code and published numbers, and against simulated truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from tunewise.evaluate.stats import (
    MIN_NONZERO_GROUPS,
    design_effect,
    mean_interval,
    paired_gain,
    score_interval,
    sign_flip,
    tango,
    wilson,
)


def singletons(n):
    return [str(i) for i in range(n)]


def seeded(seed=0):
    return np.random.default_rng(seed)


def paired(first, second, groups=None):
    ids = singletons(len(first))
    names = dict(zip(ids, groups or ids, strict=True))
    first, second = (dict(zip(ids, map(float, scores), strict=True)) for scores in (first, second))
    return paired_gain(first, second, names, seeded())


# --- Single scores


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (5, 5), (1, 1), (23, 100), (499, 500)])
def test_wilson_agrees_with_statsmodels(successes, n):
    low, high = proportion_confint(successes, n, method="wilson")
    interval = wilson(successes, n)
    assert interval.estimate == successes / n
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(successes, n):
    with pytest.raises(ValueError, match="no proportion"):
        wilson(successes, n)


def test_independent_scores_have_no_design_effect():
    values = seeded().integers(0, 2, 400)
    assert design_effect(values, singletons(400)) == pytest.approx(1, abs=1e-9)
    assert score_interval(values, singletons(400)) == wilson(int(values.sum()), 400)


def test_copies_in_a_group_count_once():
    values = seeded().integers(0, 2, 100)
    groups = [str(i) for i in range(100) for _ in range(4)]
    assert design_effect(np.repeat(values, 4), groups) == pytest.approx(4, rel=0.02)
    alone, copied = score_interval(values, singletons(100)), score_interval(np.repeat(values, 4), groups)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=0.01)


def test_scores_that_never_vary_take_a_group_for_copies():
    assert design_effect(np.ones(20), singletons(20)) == 1
    assert design_effect(np.ones(20), ["a"] * 10 + ["b"] * 10) == 10
    assert score_interval(np.ones(20), ["a"] * 20).low == 0.0
    assert score_interval([1.0], ["a"]).low == pytest.approx(wilson(1, 1).low)


def test_a_mean_of_one_or_of_equal_values_has_no_standard_error_of_zero():
    assert mean_interval([0.5], ["a"], (0, 1)).high == 1
    assert mean_interval([0.5] * 9, singletons(9), (0, 1)).low == 0
    assert score_interval([0.5, 0.5], ["a", "b"]).high == 1


def test_the_mean_interval_is_students_for_independent_values():
    values = seeded().random(25)
    interval = mean_interval(values, singletons(25), (-9, 9))
    half = 2.0638986 * values.std(ddof=1) / 5
    assert (interval.low, interval.high) == pytest.approx((values.mean() - half, values.mean() + half))


@pytest.mark.parametrize("values", [[math.nan], [math.inf], []])
def test_undefined_values_are_refused(values):
    with pytest.raises(ValueError, match=r"undefined|at least one"):
        design_effect(values, ["a"] * len(values))


# --- Tango's interval


def test_tango_gives_the_published_interval():
    # Airway hyper-responsiveness before and after transplantation: Fagerland, Lydersen & Laake 2014.
    interval = tango(1, 7, 21)
    assert (interval.low, interval.high) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert interval.estimate == pytest.approx(-6 / 21)


def test_tango_at_another_level_agrees_with_propcis(monkeypatch):
    # R: PropCIs::scoreci.mp(25, 28, 618, conf.level = 0.90)
    monkeypatch.setattr("tunewise.evaluate.stats.Z", 1.6448536)
    interval = tango(28, 25, 618)
    assert (interval.low, interval.high) == pytest.approx((-0.0148, 0.0247), abs=5e-5)


def test_tango_without_any_discordance_still_knows_its_limits():
    interval = tango(0, 0, 100)
    z2 = 1.959964**2
    assert (interval.low, interval.high) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)), abs=1e-6)


def test_tango_at_the_edges():
    assert tango(30, 0, 30).high == 1
    assert tango(0, 30, 30).low == -1
    one_group = tango(5, 1, 30, dof=0)
    assert (one_group.low, one_group.high) == (-1, 1)


def test_a_design_effect_is_as_good_as_fewer_examples():
    assert tango(20, 10, 200, deff=2) == tango(10, 5, 100)


def test_fewer_groups_widen_the_interval():
    assert tango(20, 5, 100, dof=9).low < tango(20, 5, 100, dof=99).low < tango(20, 5, 100).low


@pytest.mark.parametrize(("b", "c", "n"), [(1, 1, 0), (-1, 0, 5), (3, 3, 5)])
def test_tango_refuses_impossible_counts(b, c, n):
    with pytest.raises(ValueError, match="discordant"):
        tango(b, c, n)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_tango_contains_its_estimate_and_mirrors(b, c, rest):
    n = b + c + rest + 1
    one, other = tango(b, c, n), tango(c, b, n)
    assert -1 <= one.low <= one.estimate <= one.high <= 1
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


# --- The sign-flip test


@pytest.mark.parametrize(("b", "c"), [(9, 1), (12, 30), (40, 12), (8, 8), (0, 3), (20, 20)])
def test_on_right_or_wrong_scores_it_is_mcnemars_exact_test(b, c):
    differences = [1] * b + [-1] * c + [0] * 50
    result = sign_flip(differences, singletons(len(differences)), seeded())
    assert result.two_sided == pytest.approx(mcnemar([[25, b], [c, 25]], exact=True).pvalue)


@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
def test_with_few_groups_it_agrees_with_scipys_permutation_test(alternative):
    differences = seeded(3).normal(0.3, 1, 12)
    ours = sign_flip(differences, singletons(12), seeded())
    theirs = permutation_test(
        (differences,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative=alternative
    )
    assert theirs.pvalue == pytest.approx(ours.one_sided if alternative == "greater" else ours.two_sided)


def test_with_many_groups_draws_come_near_the_exact_answer():
    differences = seeded(3).normal(0.25, 1, 40)
    ours = sign_flip(differences, singletons(40), seeded())
    theirs = permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        n_resamples=20_000,
        alternative="greater",
        rng=seeded(1),
    )
    assert ours.one_sided == pytest.approx(theirs.pvalue, abs=0.01)
    assert ours == sign_flip(differences, singletons(40), seeded())


def test_whole_groups_are_flipped():
    # Forty wins in two groups are two wins: one of four sign patterns is as good.
    assert sign_flip([1] * 40, ["a"] * 20 + ["b"] * 20, seeded()).one_sided == 0.25


def test_drawn_p_values_are_never_zero():
    differences = np.linspace(1, 2, 60)
    assert sign_flip(differences, singletons(60), seeded(), draws=99).one_sided == 0.01


def test_no_difference_is_no_evidence():
    nothing = sign_flip([0, 0, 0], singletons(3), seeded())
    assert (nothing.one_sided, nothing.two_sided) == (1, 1)


# --- Paired gains


def test_a_paired_gain_counts_what_changed():
    gain = paired([1] * 60 + [0] * 40, [1] * 40 + [0] * 50 + [1] * 10)
    assert gain.estimate == pytest.approx(0.10)
    assert gain.discordance == pytest.approx(0.30)
    assert gain.design_effect == pytest.approx(1)
    interval = tango(20, 10, 100, dof=99)
    assert (gain.low, gain.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert gain.p_two_sided == pytest.approx(mcnemar([[0, 20], [10, 0]], exact=True).pvalue)
    assert gain.p_one_sided == pytest.approx(gain.p_two_sided / 2)


def test_groups_widen_a_paired_gain():
    tuned, rival = [1] * 30 + [0] * 10 + [1] * 60, [0] * 30 + [1] * 10 + [1] * 60
    alone, grouped = paired(tuned, rival), paired(tuned, rival, [str(i // 10) for i in range(100)])
    assert grouped.low < 0 < alone.low


def test_few_partial_gains_cannot_tell_and_many_can():
    differing = MIN_NONZERO_GROUPS
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


# --- Simulated truth


def outcomes(rng, n, gain, discordance):
    """Right-or-wrong scores of two systems that truly differ by `gain`."""
    draws = rng.random(n)
    only_first, only_second = (discordance + gain) / 2, (discordance - gain) / 2
    first = np.where(draws < only_first, 1, np.where(draws < discordance, 0, rng.integers(0, 2, n)))
    second = np.where(draws < only_first, 0, np.where(draws < only_first + only_second, 1, first))
    return first, second


@pytest.mark.parametrize(("n", "gain", "discordance"), [(40, 0.1, 0.3), (100, 0.0, 0.2), (200, 0.1, 0.3)])
def test_the_interval_holds_the_truth_as_often_as_it_says(n, gain, discordance):
    rng, held, rounds = seeded(1), 0, 1200
    for _ in range(rounds):
        first, second = outcomes(rng, n, gain, discordance)
        b, c = int(np.sum(first > second)), int(np.sum(first < second))
        interval = tango(b, c, n, dof=n - 1)
        held += interval.low <= gain <= interval.high
    assert 0.93 <= held / rounds <= 0.975


def test_equal_systems_seldom_win_even_when_examples_come_in_groups():
    rng, wins, significant, held, rounds = seeded(2), 0, 0, 0, 400
    groups = [str(i // 5) for i in range(200)]
    for _ in range(rounds):
        # Each group leans one way or the other, so its five examples are far from independent.
        lean = np.repeat(rng.normal(0, 0.25, 40), 5)
        draws = rng.random(200)
        first = (draws < 0.15 + np.clip(lean, 0, 0.35)).astype(float)
        second = (draws > 0.85 - np.clip(-lean, 0, 0.35)).astype(float)
        gain = paired(first, second, groups)
        wins += gain.low > 0
        significant += gain.p_one_sided <= 0.025
        held += gain.low <= 0 <= gain.high
    assert 0.005 <= wins / rounds <= 0.04
    assert significant / rounds <= 0.04
    assert held / rounds >= 0.93


def test_ignoring_groups_would_find_wins_where_there_are_none():
    # Equal systems, twenty groups of ten copies, taken for two hundred examples.
    rng, wins, rounds = seeded(2), 0, 200
    for _ in range(rounds):
        lean = np.repeat(rng.choice([-1, 1], 20), 10)
        first, second = (lean > 0).astype(float), (lean < 0).astype(float)
        wins += paired(first, second).low > 0
    assert wins / rounds > 0.10
