"""What things cost: an hour's price times measured seconds, or an endpoint's price of tokens. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunewise.records import TokenPrice


def cost(seconds: float, hourly_price: float) -> float:
    """The price of `seconds` of a machine, in the currency of `hourly_price`."""
    if not (0 <= seconds < math.inf and 0 <= hourly_price < math.inf):
        raise ValueError(f"{seconds} seconds at {hourly_price} an hour has no cost")
    return seconds * hourly_price / 3600


def cost_per_1000_calls(seconds_per_call: float, hourly_price: float) -> float:
    """The price of a thousand calls that each keep the machine busy for `seconds_per_call`."""
    return 1000 * cost(seconds_per_call, hourly_price)


def cost_of_tokens(input_tokens: float, output_tokens: float, price: TokenPrice) -> float:
    """What an endpoint charges for reading and writing so many."""
    return (input_tokens * price.input + output_tokens * price.output) / 1e6


@dataclass(frozen=True, slots=True)
class Saving:
    """What calls to a tuned model cost less than calls to a rival, against what training cost."""

    training_cost: float
    rival_cost_per_call: float
    tuned_cost_per_call: float

    @property
    def per_call(self) -> float:
        """Negative where a call to the tuned model costs more."""
        return self.rival_cost_per_call - self.tuned_cost_per_call

    @property
    def share(self) -> float:
        """Of the rival's price of a call; 0 where that is free."""
        return self.per_call / self.rival_cost_per_call if self.rival_cost_per_call > 0 else 0.0

    @property
    def break_even_calls(self) -> int | None:
        """The calls after which the tuned model has paid for its training; None where it never does."""
        if self.per_call <= 0:
            return None
        # Rounded first, so that 0.02 / 0.00001 is 2000 calls and not 2001.
        return math.ceil(round(self.training_cost / self.per_call, 6))

    def payback_months(self, calls_per_month: float, upkeep_per_month: float) -> float:
        """After how many months training has paid for itself; infinite where it never does.

        `upkeep_per_month` is what keeping the tuned model costs whether it is called or not.
        """
        monthly = calls_per_month * self.per_call - upkeep_per_month
        return self.training_cost / monthly if monthly > 0 else math.inf
