"""What may be claimed of gains."""

import pytest
from statsmodels.stats.multitest import multipletests

from tunewise.evaluate.stats import (
    PairedGain,
    gain_over_all,
    holm,
    non_inferiority_margin,
    zone_of,
)


def gain(low, estimate, high, p=0.001):
    return PairedGain(estimate, low, high, p, discordance=0.3, design_effect=1.0)


def test_the_weakest_comparison_decides_whether_all_are_beaten():
    gains = {
        "few-shot": gain(0.20, 0.30, 0.40),
        "zero-shot": gain(0.70, 0.80, 0.90),
        "nearest-copy": gain(-0.05, 0.10, 0.25, p=0.04),
    }
    over_all = gain_over_all(gains, best="few-shot")
    assert (over_all.estimate, over_all.low, over_all.high) == (0.30, -0.05, 0.40)
    assert over_all.p_value == pytest.approx(0.08)


def test_p_values_stay_probabilities():
    assert gain_over_all({"few-shot": gain(-0.3, -0.2, -0.1, p=0.9)}, "few-shot").p_value == 1


def test_the_rival_to_be_replaced_has_to_be_among_them():
    with pytest.raises(ValueError, match="no gain over 'rag' among those over 'zero-shot'"):
        gain_over_all({"zero-shot": gain(0.1, 0.2, 0.3)}, "rag")


@pytest.mark.parametrize(
    "p_values",
    [[0.03], [0.01, 0.04, 0.03], [0.5, 0.6, 0.001, 0.02], [0.2, 0.2, 0.2], [0.0, 1.0, 0.013, 0.012]],
)
def test_holm_agrees_with_statsmodels(p_values):
    named = {f"rival {i}": p for i, p in enumerate(p_values)}
    adjusted = holm(named)
    assert list(adjusted) == list(named)
    assert list(adjusted.values()) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@pytest.mark.parametrize(
    ("low", "estimate", "high", "zone"),
    [
        (0.01, 0.05, 0.09, "win"),
        (0.001, 0.02, 0.04, "non-inferior"),  # surely there, but too small to train for
        (-0.02, 0.01, 0.04, "non-inferior"),
        (-0.02, 0.00, 0.02, "non-inferior"),  # and small as well
        (-0.05, -0.01, 0.02, "small"),
        (-0.03, 0.01, 0.05, "undecided"),
        (-0.10, 0.05, 0.20, "undecided"),
        (-0.20, -0.10, -0.05, "small"),
    ],
)
def test_zones(low, estimate, high, zone):
    assert zone_of(gain(low, estimate, high), smallest_gain=0.03, margin=0.03) == zone


def test_no_win_without_a_test_that_agrees():
    assert zone_of(gain(0.01, 0.05, 0.09, p=0.031), smallest_gain=0.03, margin=0.03) == "non-inferior"


def test_a_floor_never_passes_for_as_good_as_the_best_prompt():
    assert non_inferiority_margin(0.03, best_untrained=0.80, best_floor=0.20) == 0.03
    margin = non_inferiority_margin(0.03, best_untrained=0.24, best_floor=0.20)
    assert margin == pytest.approx(0.02)
    floor_itself = gain(-0.0401, -0.04, -0.0399)
    assert zone_of(floor_itself, 0.03, margin) == "small"


def test_where_the_best_prompt_is_no_better_than_guessing_only_better_will_do():
    margin = non_inferiority_margin(0.03, best_untrained=0.20, best_floor=0.30)
    assert margin == 0
    assert zone_of(gain(-0.001, 0.01, 0.05), 0.03, margin) == "undecided"
    assert zone_of(gain(0.001, 0.01, 0.05), 0.03, margin) == "non-inferior"
