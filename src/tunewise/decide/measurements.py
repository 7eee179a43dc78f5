"""What a verdict is made of: every number the rules and the reasons may look at, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunewise.decide.costs import break_even_calls
from tunewise.evaluate.stats import PairedGain
from tunewise.records import ApproachResult, Gain, ParityCertificate


@dataclass(frozen=True, slots=True)
class Measurements:
    """One run, as measured on its test set. Scores and shares are in 0..1."""

    primary_metric: str
    unique_examples: int
    """After exact duplicates were dropped, all sides of the split together."""
    test_examples: int
    test_groups: int
    approaches: tuple[ApproachResult, ...]
    """Every rival that was measured, floors and the tuned model included."""
    floors: frozenset[str]
    """The names of the trivial rivals, which need no model."""
    best_untrained: str | None
    """The best rival without training, as chosen on validation; never a floor."""
    gains: Mapping[str, PairedGain]
    """By name of rival or floor: what the tuned model gains over it. Empty when none was trained."""
    untrained_gains: Mapping[str, PairedGain]
    """By name of floor: what the best untrained rival gains over it."""
    tuned_name: str = "fine-tuned"
    form_scores: Mapping[str, float] = field(default_factory=dict)
    """By approach: the share of answers that kept the form; empty where answers have none."""
    model: str | None = None
    """The tuned model's `ft:` id."""
    parity: ParityCertificate | None = None
    """Whether the model that was tested is the one that was trained; None when nobody looked."""
    currency: str = "GBP"
    training_cost: float = 0.0
    hourly_price: float = 0.0
    hourly_price_is_assumed: bool = False

    def __post_init__(self) -> None:
        named = {*self.floors, *self.gains, *self.untrained_gains}
        named |= {self.best_untrained} if self.best_untrained is not None else set()
        named |= {self.tuned_name} if self.gains else set()
        if unknown := named - {row.name for row in self.approaches}:
            raise ValueError(f"compared with {', '.join(sorted(unknown))}, which has no result")

    @property
    def tuned(self) -> ApproachResult | None:
        """The tuned model's row, if one was trained."""
        return self._row(self.tuned_name)

    @property
    def rival(self) -> ApproachResult | None:
        """The best untrained rival's row, if there is one."""
        return self._row(self.best_untrained)

    @property
    def gain_over_rival(self) -> PairedGain | None:
        """What the tuned model gains over the best untrained rival."""
        return None if self.best_untrained is None else self.gains.get(self.best_untrained)

    @property
    def gain(self) -> Gain | None:
        """`gain_over_rival`, with the lowest end and the largest p over all rivals and floors."""
        if self.gain_over_rival is None:
            return None
        return Gain(
            estimate=self.gain_over_rival.estimate,
            low=min(gain.low for gain in self.gains.values()),
            high=self.gain_over_rival.high,
            p_value=min(1.0, 2 * max(gain.p_one_sided for gain in self.gains.values())),
        )

    @property
    def break_even_calls(self) -> int | None:
        """After how many calls training has paid for itself; None if never, or with nothing to compare."""
        if self.tuned is None or self.rival is None:
            return None
        per_call = self.rival.cost_per_1000_calls / 1000, self.tuned.cost_per_1000_calls / 1000
        return break_even_calls(self.training_cost, *per_call)

    def _row(self, name: str | None) -> ApproachResult | None:
        return next((row for row in self.approaches if row.name == name), None)
