"""What things cost."""

import math

import pytest

from tunewise.decide.costs import break_even_calls, cost, cost_per_1000_calls


def test_an_hour_costs_its_price():
    assert cost(3600, 0.10) == pytest.approx(0.10)
    assert cost(0, 0.10) == 0
    assert cost_per_1000_calls(3.6, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize(("seconds", "price"), [(-1, 1), (1, -1), (math.nan, 1), (1, math.inf)])
def test_what_is_no_time_or_price_has_no_cost(seconds, price):
    with pytest.raises(ValueError, match="has no cost"):
        cost(seconds, price)


def test_training_pays_back_after_the_calls_that_save_its_cost():
    assert break_even_calls(0.02, 3e-5, 2e-5) == 2000
    assert break_even_calls(1.0, 0.5, 0.2) == 4
    assert break_even_calls(0.0, 0.5, 0.2) == 0


def test_a_call_that_saves_nothing_never_pays_training_back():
    assert break_even_calls(0.02, 1e-5, 1e-5) is None
    assert break_even_calls(0.02, 1e-5, 2e-5) is None
