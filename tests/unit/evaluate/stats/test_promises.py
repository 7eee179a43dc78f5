"""Where the truth is known, intervals hold it and tests are wrong as often as they say, and no more."""

import math

import numpy as np
import pytest
from scipy.stats import binom, t

from simulated_scores import draw_differences, draw_labels, groups_of, seeded, singletons
from tunewise.evaluate.fact_or_skill import gap_closed
from tunewise.evaluate.stats import macro_f1_gain, macro_f1_interval, sign_flip, tango
from tunewise.evaluate.stats.gains import gain_interval

ENOUGH_DISCORDANT, ENOUGH_GROUPS = 10, 40
"""With so many expected pairs that differ, and groups, coverage has to be near 95%; else only not below."""


def margin(share, rounds):
    """Three standard errors of a share of `rounds`."""
    return 3 * math.sqrt(share * (1 - share) / rounds)


def check_coverage(coverage, discordant, num_groups, rounds=None):
    unsure = margin(0.95, rounds) if rounds else 0
    assert coverage >= 0.93 - unsure
    if discordant >= ENOUGH_DISCORDANT and num_groups >= ENOUGH_GROUPS:
        assert coverage <= 0.97 + unsure


def exact_coverage(interval, n, gain, discordance):
    """How often `interval(wins, losses)` holds `gain`: summed over all outcomes of n independent pairs."""
    total = 0.0
    for discordant in range(n + 1):
        share = binom.pmf(discordant, n, discordance)
        if share < 1e-7:
            continue
        shares = share * binom.pmf(np.arange(discordant + 1), discordant, (1 + gain / discordance) / 2)
        for wins in np.flatnonzero(shares > 1e-8):
            low, high = interval(int(wins), discordant - int(wins))
            total += shares[wins] * (low <= gain <= high)
    return total


def tango_of(n):
    def interval(wins, losses):
        found = tango(wins, losses, n, dof=n - 1)
        return found.low, found.high

    return interval


def plain_t_of(n):
    def interval(wins, losses):
        mean = (wins - losses) / n
        half = t.ppf(0.975, n - 1) * math.sqrt(((wins + losses) / n - mean**2) / (n - 1))
        return mean - half, mean + half

    return interval


# --- Examples that stand alone


@pytest.mark.parametrize(("n", "discordance", "gain"), [(30, 0.05, 0.045), (40, 0.30, 0.1), (100, 0.10, 0.0)])
def test_the_interval_holds_the_truth_as_often_as_it_says(n, discordance, gain):
    check_coverage(exact_coverage(tango_of(n), n, gain, discordance), n * discordance, n)


def test_a_t_interval_would_not_for_few_discordant_pairs():
    assert exact_coverage(plain_t_of(30), 30, 0.045, 0.05) < 0.80


@pytest.mark.slow
@pytest.mark.parametrize("n", [30, 100, 200])
@pytest.mark.parametrize("discordance", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("share_of_it", [0.0, 0.3, 0.9])
def test_it_does_for_all_sizes_and_discordances(n, discordance, share_of_it):
    coverage = exact_coverage(tango_of(n), n, share_of_it * discordance, discordance)
    check_coverage(coverage, n * discordance, n)


# --- Examples that come in groups

FEW_GROUPS = [(6, 10), (10, 10), (15, 10)]
MANY_GROUPS = [(40, 5), (100, 5)]


def check_groups(num_groups, size, correlation, gain, rounds):
    """Draws of two systems of a true `gain`; equal ones must seldom win, by interval or by test."""
    rng, names = seeded(num_groups), groups_of(num_groups, size)
    held = dict.fromkeys(("binary", "bounded"), 0)
    wins = significant = ignoring = 0
    for _ in range(rounds):
        differences = draw_differences(rng, num_groups, size, gain, 0.3, correlation)
        for kind in held:
            interval = gain_interval(differences, names, kind)
            held[kind] += interval.low <= gain <= interval.high
            wins += interval.low > 0 and kind == "binary"
        significant += sign_flip(differences, names, rng, draws=999).one_sided <= 0.025
        ignoring += sign_flip(differences, singletons(len(names)), rng).one_sided <= 0.025
    for kind, count in held.items():
        # Groups of copies differ only as a whole: so many less may differ.
        discordant = 0.3 * num_groups * (1 if correlation == 1 else size)
        check_coverage(count / rounds, discordant, num_groups, rounds)
        assert kind == "binary" or num_groups >= 10 or count == rounds
    if gain == 0:
        assert wins / rounds <= 0.025 + margin(0.025, rounds)
        assert significant / rounds <= 0.025 + margin(0.025, rounds)
    return ignoring / rounds


def test_equal_systems_seldom_win_even_when_examples_come_in_groups():
    assert check_groups(40, 5, 0.6, 0.0, rounds=200) > 0.06


def test_a_gain_is_held_when_examples_come_in_groups():
    check_groups(10, 10, 0.3, 0.15, rounds=200)


@pytest.mark.slow
@pytest.mark.parametrize(("num_groups", "size"), FEW_GROUPS + MANY_GROUPS)
@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("gain", [0.0, 0.15])
def test_groups_of_all_kinds_are_held(num_groups, size, correlation, gain):
    ignoring = check_groups(num_groups, size, correlation, gain, rounds=1000)
    if gain == 0 and correlation >= 0.3:
        # McNemar's test on examples as if they stood alone, of which 2.5% are promised.
        assert 0.05 <= ignoring <= 0.30


@pytest.mark.slow
def test_a_plain_bootstrap_of_few_groups_would_hold_the_truth_too_seldom():
    rng, held, rounds = seeded(), 0, 1000
    for _ in range(rounds):
        sums = draw_differences(rng, 6, 10, 0.15, 0.3, 0.3).reshape(6, 10).mean(axis=1)
        means = rng.choice(sums, size=(1000, 6)).mean(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low <= 0.15 <= high
    assert held / rounds < 0.90


# --- Macro-F1


def check_macro_f1(shares, accuracies, num_groups, size, correlation, rounds):
    truth = draw_labels(seeded(), 50_000, 1, shares, accuracies)
    one_group = ["all"] * 50_000
    scores = [macro_f1_interval(side, truth[0], one_group, seeded(), draws=1).estimate for side in truth[1]]
    gain = scores[0] - scores[1]
    rng, names = seeded(1), groups_of(num_groups, size)
    held = held_score = wins = significant = 0
    for _ in range(rounds):
        expected, (ours, theirs) = draw_labels(rng, num_groups, size, shares, accuracies, correlation)
        interval, chance = macro_f1_gain(ours, theirs, expected, names, rng, draws=500)
        score = macro_f1_interval(ours, expected, names, rng, draws=500)
        held += interval.low <= gain <= interval.high
        held_score += score.low <= scores[0] <= score.high
        wins += interval.low > 0
        significant += chance.one_sided <= 0.025
    assert held / rounds >= 0.93 - margin(0.95, rounds)
    assert held_score / rounds >= 0.90 - margin(0.95, rounds)
    if accuracies[0] == accuracies[1]:
        assert wins / rounds <= 0.035 + margin(0.025, rounds)
        assert significant / rounds <= 0.025 + margin(0.025, rounds)


def test_macro_f1_is_held_with_a_rare_label():
    check_macro_f1([0.6, 0.3, 0.1], [0.8, 0.8], 15, 5, 0.3, rounds=60)


@pytest.mark.slow
@pytest.mark.parametrize(("num_groups", "size", "correlation"), [(10, 10, 0.3), (40, 5, 0.3), (100, 1, 0)])
@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.6, 0.3, 0.1], [0.2] * 5])
@pytest.mark.parametrize("accuracies", [[0.8, 0.8], [0.95, 0.7]])
def test_macro_f1_is_held_for_all_label_sets(shares, accuracies, num_groups, size, correlation):
    check_macro_f1(shares, accuracies, num_groups, size, correlation, rounds=200)


# --- Several rivals


def draw_right(rng, accuracies, n):
    """(systems, n): who is right, correlated by 0.3, as some examples are hard for all."""
    copies = rng.random((len(accuracies), n)) < np.sqrt(0.3)
    luck = np.where(copies, rng.random((1, n)), rng.random((len(accuracies), n)))
    return (luck < np.array(accuracies)[:, None]).astype(float)


def chosen_wins(rounds, n):
    """Shares of false wins of the best of four equal models: chosen on the test set, and on validation."""
    rng, on_test, on_validation = seeded(), 0, 0
    for _ in range(rounds):
        rival, *models = draw_right(rng, [0.7] * 5, n)
        validation = draw_right(rng, [0.7] * 4, 100)
        best_on_test = models[int(np.argmax([model.sum() for model in models]))]
        best_on_validation = models[int(np.argmax(validation.sum(axis=1)))]
        on_test += sign_flip(best_on_test - rival, singletons(n), rng).one_sided <= 0.025
        on_validation += sign_flip(best_on_validation - rival, singletons(n), rng).one_sided <= 0.025
    return on_test / rounds, on_validation / rounds


def test_choosing_a_model_on_the_test_set_makes_false_wins_and_on_validation_none():
    on_test, on_validation = chosen_wins(rounds=500, n=200)
    assert on_test > 0.04
    assert on_validation <= 0.025 + margin(0.025, 500)


@pytest.mark.slow
def test_choosing_on_validation_keeps_the_promise_over_many_rounds():
    on_test, on_validation = chosen_wins(rounds=5000, n=200)
    assert 0.05 <= on_test <= 0.09
    assert on_validation <= 0.025 + margin(0.025, 5000)


@pytest.mark.slow
def test_beating_every_rival_takes_no_more_than_it_should():
    rng, wins, rounds, names = seeded(), 0, 400, singletons(200)
    for _ in range(rounds):
        tuned, *rivals = draw_right(rng, [0.75, 0.6, 0.6, 0.6, 0.6], 200)
        wins += all(gain_interval(tuned - rival, names, "binary").low > 0 for rival in rivals)
    assert 0.80 <= wins / rounds <= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("known", [0.25, 0.45, 0.70])
def test_the_closed_gap_is_held_though_the_floor_is_measured_too(known):
    rng, held, rounds, names = seeded(), 0, 1000, singletons(100)
    groups = dict(zip(names, names, strict=True))
    for _ in range(rounds):
        tuned, floor = (dict(zip(names, side, strict=True)) for side in draw_right(rng, [known, 0.2], 100))
        closed = gap_closed(tuned, floor, groups, rng)
        held += closed.low <= (known - 0.2) / 0.8 <= closed.high
    assert held / rounds >= 0.93
