"""Permutation tests, against other people's code."""

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test
from statsmodels.stats.contingency_tables import mcnemar

from simulated_scores import groups_of, seeded, singletons
from tunewise.evaluate.stats import flip_test, sign_flip


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


@pytest.mark.parametrize(("wins", "losses"), [(5, 2), (19, 6), (6, 19)])
def test_in_favour_of_the_first_it_is_the_binomial_test(wins, losses):
    ours = sign_flip([1] * wins + [-1] * losses + [0] * 9, singletons(wins + losses + 9), seeded())
    theirs = binomtest(wins, wins + losses, 0.5, alternative="greater")
    assert ours.one_sided == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("num_groups", [5, 6])
def test_six_groups_are_the_fewest_that_can_win(num_groups):
    p = sign_flip([1] * 4 * num_groups, groups_of(num_groups, 4), seeded()).one_sided
    assert p == 2.0**-num_groups
    assert (p <= 0.025) == (num_groups == 6)


def test_ties_change_neither_the_sum_nor_the_chance_of_it():
    differences = seeded(5).normal(0.3, 1, 12)
    with_ties = sign_flip([*differences, *[0.0] * 30], singletons(42), seeded())
    assert with_ties == sign_flip(differences, singletons(12), seeded())


def test_any_statistic_can_be_tested_by_swapping():
    first, second = seeded(1).random(11), seeded(2).random(11)

    def difference_of_medians(signs):
        swapped = signs < 0
        ours = np.where(swapped, second, first)
        return np.median(ours, axis=1) - np.median(np.where(swapped, first, second), axis=1)

    ours = flip_test(difference_of_medians, 11, seeded())
    theirs = permutation_test(
        (first, second),
        lambda a, b, axis: np.median(a, axis=axis) - np.median(b, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="greater",
        vectorized=True,
    )
    assert ours.one_sided == pytest.approx(theirs.pvalue)
