"""What things cost."""

import math

import pytest

from tunewise.decide.costs import Saving, cost, cost_per_1000_calls


def test_an_hour_costs_its_price():
    assert cost(3600, 0.10) == pytest.approx(0.10)
    assert cost(0, 0.10) == 0
    assert cost_per_1000_calls(3.6, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize(("seconds", "price"), [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_what_is_no_time_or_price_has_no_cost(seconds, price):
    with pytest.raises(ValueError, match="has no cost"):
        cost(seconds, price)


def test_training_pays_back_after_the_calls_that_save_its_cost():
    assert Saving(0.02, 3e-5, 2e-5).break_even_calls == 2000
    assert Saving(1.0, 0.5, 0.2).break_even_calls == 4
    assert Saving(0.0, 0.5, 0.2).break_even_calls == 0
    assert Saving(1.0, 0.5, 0.2).share == pytest.approx(0.6)


def test_a_call_that_saves_nothing_never_pays_training_back():
    for dearer in (Saving(0.02, 1e-5, 1e-5), Saving(0.02, 1e-5, 2e-5), Saving(0.02, 0.0, 1e-5)):
        assert dearer.break_even_calls is None
        assert dearer.payback_months(1e9, 0.0) == math.inf
        assert dearer.share <= 0


def test_upkeep_delays_payback_and_can_prevent_it():
    saving = Saving(training_cost=12.0, rival_cost_per_call=0.003, tuned_cost_per_call=0.001)
    assert saving.payback_months(1000, 0.0) == pytest.approx(6)
    assert saving.payback_months(1000, 1.0) == pytest.approx(12)
    assert saving.payback_months(1000, 2.0) == math.inf
