"""The reasons beside a ruling's own: what else a verdict's reader wants to know, tied to numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from tunewise.approaches.names import is_remote
from tunewise.data.split import detectable_difference
from tunewise.decide.costs import Saving
from tunewise.decide.criteria import (
    MIN_SAVED_SHARE,
    SMALLEST_GAIN,
    beats_floors,
    forgets,
    not_inferior,
    rivals_to_undercut,
    wins_over,
)
from tunewise.decide.guards import FORGETS, NOT_PARITY, describe_forgetting, is_sound, served_otherwise
from tunewise.decide.measurements import Measurements, TrainedArm
from tunewise.decide.rules.base import MEASURED_GAIN, gain_clause, gain_evidence, interval
from tunewise.decide.wording import describe_gain, money, name_in_words, whole_percent, whole_points
from tunewise.evaluate.stats import PairedGain
from tunewise.records import TRAINS, Reason, Recommendation

# A form kept in at least this share of answers can be parsed without a safety net.
FORM_KEPT = 0.95
# An approach that agrees with itself less often than this is right at most 90% of the time (0.9 squared).
MIN_AGREEMENT = 0.81
# Layouts of one prompt that mean the same differ by 7.5 points in the median (Sclar et al. 2023).
MAX_SPREAD = 0.10
# A gain that was only just sure may cease to be so once form explains a little of it. Form is what training
# gained where less than half is left.
MAX_LEFT_OF_FORM = 0.5


@dataclass(frozen=True, slots=True)
class Observation:
    """A reason that decides nothing: what it says, and when it is said."""

    code: str
    when: str
    find: Callable[[Measurements, TrainedArm | None], Reason | None]
    beside: frozenset[Recommendation] | None = None
    """The only recommendations that it matters to; None is any."""


def observe(m: Measurements, arm: TrainedArm | None, recommendation: Recommendation) -> list[Reason]:
    """What there is to say beside a ruling about `arm`, the most urgent first."""
    asked = OBSERVATIONS_ON_A_WIN if recommendation in TRAINS else OBSERVATIONS_ON_NO_WIN
    found = (o.find(m, arm) for o in asked if o.beside is None or recommendation in o.beside)
    return [reason for reason in found if reason is not None]


def parity_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """The tuned model was tested as it is served, and that is not as it was trained."""
    flaw = None if arm is None else served_otherwise(m, arm)
    return None if flaw is None else Reason(NOT_PARITY, flaw.sentence, flaw.evidence)


def forgetting_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:  # noqa: ARG001 - its shape
    """Harm beyond the task, where the model is for the task alone."""
    if arm is None or arm.forgetting is None or not forgets(arm.forgetting):
        return None
    seen = describe_forgetting(arm.forgetting)
    text = f"Send the tuned model nothing but its task, because it forgot other things: {seen}."
    return Reason(FORGETS, text, {"forgetting": asdict(arm.forgetting)})


def form_only_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """A gain that is gone where form costs nothing can be had without training."""
    if arm is None:
        return None
    lost = {
        rival: lenient
        for rival, lenient in m.lenient_gains.get(arm.name, {}).items()
        if _is_form(m.gain_over(arm.name, rival), lenient)
    }
    if not lost:
        return None
    rival = min(lost, key=lambda name: lost[name].estimate)
    text = (
        "What training gained seems to be mostly form: read leniently, it does not surely beat "
        f"{name_in_words(m, rival)} by {whole_points(SMALLEST_GAIN)} any more "
        f"({describe_gain(rival, lost[rival])}). Reading answers so, or enforcing their form (structured "
        "output), may do."
    )
    evidence = {name: interval(gain) for name, gain in m.lenient_gains[arm.name].items()}
    return Reason("form-only", text, {"gains_when_read_leniently": evidence})


def _is_form(gain: PairedGain | None, lenient: PairedGain) -> bool:
    if gain is None or not wins_over(gain) or wins_over(lenient):
        return False
    return lenient.estimate < MAX_LEFT_OF_FORM * gain.estimate


def form_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """Prompts that do not get the form of the answer kept have a weakness that training cures."""
    if arm is None:
        return None
    prompts = {name: share for name, share in m.form_scores.items() if name in m.untrained}
    tuned, best = m.form_scores.get(arm.name, 0.0), max(prompts.values(), default=1.0)
    if tuned < FORM_KEPT or best >= FORM_KEPT:
        return None
    text = (
        f"The tuned model keeps the form of the answer {whole_percent(tuned)} of the time, "
        f"no prompt more than {whole_percent(best)}."
    )
    return Reason("format-not-learned-by-prompting", text, {arm.name: tuned, **prompts})


def cost_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """What a call costs after training, where that is less than with the best untrained rival."""
    tuned, rival = m.row(arm.name) if arm else None, m.rival
    if arm is None or tuned is None or rival is None:
        return None
    saving = m.saving(arm, rival.name)
    if saving is None or saving.per_call <= 0:
        return None
    mine, other = (
        money(1000 * call, m.currency) for call in (saving.tuned_cost_per_call, saving.rival_cost_per_call)
    )
    hour = f"{'an assumed ' if m.hourly_price_is_assumed else ''}{money(m.hourly_price, m.currency)} an hour"
    prices = f"{hour} here and the endpoint's price of tokens" if is_remote(rival.name) else hour
    text = (
        f"A call reads {tuned.input_tokens_per_call:.0f} tokens, not {rival.input_tokens_per_call:.0f}; "
        f"1,000 calls cost {mine} instead of {other}, at {prices}."
    )
    evidence = {
        "input_tokens_per_call": tuned.input_tokens_per_call,
        "input_tokens_per_call_of_rival": rival.input_tokens_per_call,
        "cost_per_1000_calls": tuned.cost_per_1000_calls,
        "cost_per_1000_calls_of_rival": rival.cost_per_1000_calls,
        "hourly_price": m.hourly_price,
        "hourly_price_is_assumed": m.hourly_price_is_assumed,
        "break_even_calls": saving.break_even_calls,
    }
    return Reason("cheaper-per-call", text, evidence)


def volume_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """A model as good and cheaper, of which nobody said how often it will be called."""
    if arm is None or m.best_untrained is None or m.calls_per_month is not None:
        return None
    saving = m.saving(arm, m.best_untrained)
    if saving is None or not is_sound(m, arm) or not beats_floors(m, arm.name):
        return None
    rivals = rivals_to_undercut(m, arm)
    if not all(not_inferior(m, arm, name) and _saves_much(m.saving(arm, name)) for name in rivals):
        return None
    text = (
        f"A call to the tuned model costs {whole_percent(saving.share)} less and the answers are as good: it "
        f"pays back after {saving.break_even_calls:,} calls. Say how many you make with --calls-per-month."
    )
    evidence = {"saved_share": saving.share, "break_even_calls": saving.break_even_calls}
    return Reason("cheaper-at-volume", text, evidence)


def _saves_much(saving: Saving | None) -> bool:
    return saving is not None and saving.share >= MIN_SAVED_SHARE


def unsteady_prompt_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:  # noqa: ARG001
    """A best untrained rival whose score hangs on chance or on wording."""
    return None if m.best_untrained is None else _unsteadiness(m, "unsteady-prompt", m.best_untrained)


def unsteady_model_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """A trained model of which the same is true."""
    return None if arm is None else _unsteadiness(m, "unsteady-model", arm.name)


def _unsteadiness(m: Measurements, code: str, name: str) -> Reason | None:
    seen = m.consistency.get(name)
    if seen is None:
        return None
    flaws = []
    if seen.agreement is not None and seen.agreement < MIN_AGREEMENT:
        cap, same = whole_percent(math.sqrt(seen.agreement)), whole_percent(seen.agreement)
        flaws.append(
            f"asked again at temperature {seen.temperature:g} it gives the same answer {same} of the time, "
            f"so there it is right at most about {cap}"
        )
    if seen.spread is not None and seen.spread > MAX_SPREAD:
        flaws.append(f"its score moves by {whole_points(seen.spread)} with order and layout")
    if seen.form_rate is not None and seen.form_rate < FORM_KEPT:
        flaws.append(f"it keeps the form of the answer {whole_percent(seen.form_rate)} of the time")
    if not flaws:
        return None
    who = name_in_words(m, name)
    text = f"{who[:1].upper()}{who[1:]} is unsteady: {'; '.join(flaws)}."
    return Reason(code, text, {name: asdict(seen)})


def cut_short_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:  # noqa: ARG001 - its shape
    """Training that there was no time for: more of it may score better."""
    cut = [words for words in m.left_out if any(words.startswith(f"{one.name} goes ") for one in m.arms)]
    if not cut:
        return None
    text = f"There was no time for all of the training: {'; '.join(cut)}. Raise `--max-minutes` for more."
    return Reason("training-cut-short", text, {"cut_short": cut})


def judge_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """What a judge said of the two answers, where somebody asked one: beside the metric, not in its place."""
    said = next((j for j in m.judgements if arm is not None and j.first == arm.name), None)
    if said is None:
        return None
    if said.gain is None:
        text = f"The judge ({said.judge}) gave no verdict on any pair of answers: {said.problem}."
    else:
        text = (
            f"The judge ({said.judge}) finds the tuned model's answers better than those of {said.second} on "
            f"{said.wins} of {said.examples} unseen examples and worse on {said.losses}: "
            f"{describe_gain(said.second, said.gain)}. This decides nothing."
        )
    if said.is_fickle:
        text += (
            f" It means little: on {said.contradicted} of {said.judged} pairs the judge changed its mind "
            "with the order of the answers. Ask a larger model."
        )
    return Reason("judged", text, {"judgement": asdict(said)})


def gain_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """The gain as measured, of a model that was served as it was trained."""
    if arm is None or served_otherwise(m, arm) or m.gain_over(arm.name, m.best_untrained) is None:
        return None
    text = f"What training changed: {gain_clause(m, arm.name)}."
    return Reason(MEASURED_GAIN, text, gain_evidence(m, arm.name))


def test_size_reason(m: Measurements, arm: TrainedArm | None) -> Reason | None:
    """What a test set of this size can show, given how often the two were seen to disagree."""
    gain = None if arm is None else m.gain_over(arm.name, m.best_untrained)
    if gain is None:
        return None
    difference = detectable_difference(m.compared_examples / gain.design_effect, gain.discordance)
    if difference is None:
        return None
    size, gain_seen = m.compared_examples, whole_points(difference)
    text = f"{size} unseen examples are enough to show a gain of {gain_seen} or more."
    evidence = {"test_examples": m.test_examples, "test_groups": m.test_groups, "visible_gain": difference}
    return Reason("test-size", text, evidence)


_PARITY = Observation(NOT_PARITY, "the tuned model is not served as it was trained", parity_reason)
_UNSTEADY = (
    f"agrees with itself in fewer than {whole_percent(MIN_AGREEMENT)} of repeats, moves by more than "
    f"{whole_points(MAX_SPREAD)} with order and layout, or keeps the form in fewer than "
    f"{whole_percent(FORM_KEPT)}"
)
_UNSTEADY_PROMPT = Observation(
    "unsteady-prompt", f"the best untrained approach {_UNSTEADY}", unsteady_prompt_reason
)
_CUT_SHORT = Observation(
    "training-cut-short", "training was cut short to end within `--max-minutes`", cut_short_reason
)
_TEST_SIZE = Observation("test-size", "a tuned model was compared with a prompt", test_size_reason)
_JUDGE = Observation("judged", "a judge was asked with `--judge`", judge_reason)
_FORGETTING = Observation(FORGETS, "training did harm beyond its task", forgetting_reason)

OBSERVATIONS_ON_A_WIN: tuple[Observation, ...] = (
    _FORGETTING,
    _JUDGE,
    Observation(
        "form-only",
        "read leniently (whatever its case, punctuation, fences and the words around it), an untrained "
        f"approach is not surely beaten by {whole_points(SMALLEST_GAIN)} any more, and less than "
        f"{whole_percent(MAX_LEFT_OF_FORM)} of the gain is left",
        form_only_reason,
    ),
    Observation(
        "format-not-learned-by-prompting",
        f"the tuned model keeps the form of the answer in {whole_percent(FORM_KEPT)} or more, no prompt does",
        form_reason,
    ),
    Observation("unsteady-model", f"the tuned model {_UNSTEADY}", unsteady_model_reason),
    Observation("cheaper-per-call", "calls to the tuned model cost less than the best prompt's", cost_reason),
    _UNSTEADY_PROMPT,
    _CUT_SHORT,
    _TEST_SIZE,
)
OBSERVATIONS_ON_NO_WIN: tuple[Observation, ...] = (
    _PARITY,
    _CUT_SHORT,
    _JUDGE,
    Observation(MEASURED_GAIN, "both were measured, and the reason before does not say it", gain_reason),
    Observation(
        "cheaper-at-volume",
        "the tuned model beats guessing, is surely not worse by what matters than the best untrained "
        "approach and each other that it does not beat, its calls cost "
        f"{whole_percent(MIN_SAVED_SHARE)} "
        "less or better, no number of calls was declared, and it could change the verdict",
        volume_reason,
        frozenset({"keep-prompting", "inconclusive"}),
    ),
    _UNSTEADY_PROMPT,
    _TEST_SIZE,
)
