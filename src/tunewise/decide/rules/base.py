"""What a rule is: a code, what it recommends, when, what to do then, and a function that sees if it holds.

A rule says in its own words when it holds, so that `docs/verdict.md` is made from the rules as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tunewise.decide.measurements import Measurements
from tunewise.decide.wording import describe_gain
from tunewise.evaluate.stats import PairedGain
from tunewise.records import Recommendation


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says when it holds."""

    sentence: str
    """The reason, as one sentence."""
    evidence: dict[str, Any]
    consequence: str = ""
    """How the headline goes on after the scores."""
    recommendation: Recommendation | None = None
    """Of a rule that can recommend several; None is the first of them."""
    arm: str | None = None
    """The trained approach that it is about, where that is not the main one."""
    covers: frozenset[str] = frozenset()
    """Codes of the reasons beside it that would say the same once more."""


Ask = Callable[[Measurements], Ruling | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table of rules."""

    code: str
    recommendations: tuple[Recommendation, ...]
    when: str
    """The condition in words, given that no rule before it held."""
    advice: str
    """What its reader is to do."""
    ask: Ask


def rule(code: str, *recommendations: Recommendation, when: str, advice: str) -> Callable[[Ask], Rule]:
    """Make the function below a rule; `RULES` in `decide/verdict.py` gives it its place."""
    return lambda ask: Rule(code, recommendations, when, advice, ask)


MEASURED_GAIN = "measured-gain"
"""The code of the reason that says what training changed."""


def gain_clause(m: Measurements, name: str | None) -> str:
    """What `name` gains over the best untrained rival, in words; empty where that was not measured."""
    gain = None if name is None else m.gain_over(name, m.best_untrained)
    return "" if gain is None or m.best_untrained is None else describe_gain(m.best_untrained, gain)


def gain_evidence(m: Measurements, name: str) -> dict[str, Any]:
    """The combined gain of `name`, and the estimate, low and high end against each rival and floor."""
    against = m.gains.get(name, {})
    rivals = {rival: interval(against[rival]) for rival in m.rivals_of(name) if rival in against}
    combined = m.gain(name)
    if combined is None:
        return {"against": rivals}
    numbers = {
        "gain": combined.estimate, "low": combined.low, "high": combined.high, "p_value": combined.p_value,
    }  # fmt: skip
    return {**numbers, "against": rivals}


def interval(gain: PairedGain) -> list[float]:
    """Estimate, low and high end, as evidence holds them."""
    return [gain.estimate, gain.low, gain.high]
