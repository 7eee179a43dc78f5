"""The reasons beside a ruling's own: what else a verdict's reader wants to know, tied to numbers. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tunewise.data.split import detectable_difference
from tunewise.decide.measurements import Measurements
from tunewise.decide.wording import gain_over, money, percent
from tunewise.records import Reason

# A form kept in at least this share of answers can be parsed without a safety net.
FORM_KEPT = 0.95


NOT_PARITY = "not-parity"
"""The code of the reason that stands in every verdict on a model that is not served as it was trained."""


def reasons_for_training(m: Measurements) -> list[Reason]:
    """What training brought besides the score."""
    return [reason for reason in (form_reason(m), cost_reason(m), test_size_reason(m)) if reason is not None]


def reasons_against_training(m: Measurements) -> list[Reason]:
    """What training would have brought (or why no score of it counts), and what could have been missed."""
    found = parity_reason(m) or gain_reason(m), test_size_reason(m)
    return [reason for reason in found if reason is not None]


def form_reason(m: Measurements) -> Reason | None:
    """Prompts that do not get the form of the answer kept have a weakness that training cures."""
    others = {m.tuned_name, *m.floors}
    prompts = {name: share for name, share in m.form_scores.items() if name not in others}
    tuned, best = m.form_scores.get(m.tuned_name, 0.0), max(prompts.values(), default=1.0)
    if tuned < FORM_KEPT or best >= FORM_KEPT:
        return None
    text = (
        f"The tuned model keeps the form of the answer {percent(tuned)} of the time, "
        f"the best prompt {percent(best)}."
    )
    return Reason("format-not-learned-by-prompting", text, {m.tuned_name: tuned, **prompts})


def cost_reason(m: Measurements) -> Reason | None:
    """What a call costs after training, where that is less than with the best prompt."""
    tuned, rival = m.tuned, m.rival
    if tuned is None or rival is None or tuned.cost_per_1000_calls >= rival.cost_per_1000_calls:
        return None
    assumed = "an assumed " if m.hourly_price_is_assumed else ""
    price = money(m.hourly_price, m.currency)
    text = (
        f"A call reads {tuned.input_tokens_per_call:.0f} tokens, not {rival.input_tokens_per_call:.0f}; "
        f"1,000 calls cost {money(tuned.cost_per_1000_calls, m.currency)} instead of "
        f"{money(rival.cost_per_1000_calls, m.currency)}, at {assumed}{price} an hour."
    )
    evidence = {
        "input_tokens_per_call": tuned.input_tokens_per_call,
        "input_tokens_per_call_of_rival": rival.input_tokens_per_call,
        "cost_per_1000_calls": tuned.cost_per_1000_calls,
        "cost_per_1000_calls_of_rival": rival.cost_per_1000_calls,
        "hourly_price": m.hourly_price,
        "hourly_price_is_assumed": m.hourly_price_is_assumed,
        "break_even_calls": m.break_even_calls,
    }
    return Reason("cheaper-per-call", text, evidence)


def parity_reason(m: Measurements) -> Reason | None:
    """The tuned model was tested as it is served, and that is not as it was trained."""
    parity = m.parity
    if parity is None or parity.passed:
        return None
    if not parity.ids_equal:
        seen = "it reads the same conversations as other tokens"
    elif parity.max_difference is None:
        seen = "no log-probabilities could be compared"
    else:
        seen = (
            f"log-probabilities of the same tokens differ by up to {parity.max_difference:.2g} nats, "
            f"where rounding in {parity.precision} explains {parity.tolerance:.2g}"
        )
    text = f"The served model is not the trained one ({seen}), so its score says nothing: train it again."
    return Reason(NOT_PARITY, text, {"parity": asdict(parity)})


def gain_reason(m: Measurements) -> Reason | None:
    """The gain as measured, where one was."""
    if m.gain_over_rival is None:
        return None
    return Reason("measured-gain", f"What training changed: {gain_clause(m)}.", gain_evidence(m))


def test_size_reason(m: Measurements) -> Reason | None:
    """What a test set of this size can show, given how often the two were seen to disagree."""
    gain = m.gain_over_rival
    if gain is None:
        return None
    difference = detectable_difference(m.test_examples / gain.design_effect, gain.discordance)
    if difference is None:
        return None
    visible = f"{100 * difference:.0f} points"
    text = f"{m.test_examples} unseen examples are enough to show a gain of {visible} or more."
    evidence = {"test_examples": m.test_examples, "test_groups": m.test_groups, "visible_gain": difference}
    return Reason("test-size", text, evidence)


def gain_clause(m: Measurements) -> str:
    """The gain over the best untrained rival, in words; empty where there is none."""
    if m.best_untrained is None or m.gain_over_rival is None:
        return ""
    return gain_over(m.best_untrained, m.gain_over_rival)


def gain_evidence(m: Measurements) -> dict[str, Any]:
    """The combined gain, and the estimate, low and high end against each rival and floor."""
    against = {name: [gain.estimate, gain.low, gain.high] for name, gain in m.gains.items()}
    if m.gain is None:
        return {"against": against}
    combined = {"gain": m.gain.estimate, "low": m.gain.low, "high": m.gain.high, "p_value": m.gain.p_value}
    return {**combined, "against": against}
