"""What things cost: an hour's price times measured seconds. Pure."""

from __future__ import annotations

import math


def cost(seconds: float, hourly_price: float) -> float:
    """The price of `seconds` of a machine, in the currency of `hourly_price`."""
    if not (0 <= seconds < math.inf and 0 <= hourly_price < math.inf):
        raise ValueError(f"{seconds} seconds at {hourly_price} an hour has no cost")
    return seconds * hourly_price / 3600


def cost_per_1000_calls(seconds_per_call: float, hourly_price: float) -> float:
    """The price of a thousand calls that each keep the machine busy for `seconds_per_call`."""
    return 1000 * cost(seconds_per_call, hourly_price)


def break_even_calls(
    training_cost: float, cost_per_call_rival: float, cost_per_call_tuned: float
) -> int | None:
    """The calls after which the tuned model has paid for its training; None when a call saves nothing."""
    saving = cost_per_call_rival - cost_per_call_tuned
    if saving <= 0:
        return None
    # Rounded first, so that 0.02 / 0.00001 is 2000 calls and not 2001.
    return math.ceil(round(training_cost / saving, 6))
