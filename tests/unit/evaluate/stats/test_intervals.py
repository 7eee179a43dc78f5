"""Intervals, against other people's code and published numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from simulated_scores import seeded, singletons
from tunewise.evaluate.stats import (
    design_effect,
    mean_interval,
    score_interval,
    tango,
    wilson,
)

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
    monkeypatch.setattr("tunewise.evaluate.stats.intervals.Z", 1.6448536)
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
