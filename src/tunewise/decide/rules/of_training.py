"""Rules about what training gained, and about prompts that leave it nothing to gain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tunewise.approaches.names import FINE_TUNED
from tunewise.data.split import detectable_difference
from tunewise.decide.criteria import (
    CLEAR_GAIN,
    LOW_CEILING,
    MAX_FAILED_SHARE,
    MAX_PAYBACK_MONTHS,
    MIN_SAVED_SHARE,
    SMALLEST_GAIN,
    beats_floors,
    documents_win,
    failed_share,
    failing,
    more_test_examples,
    rivals_to_undercut,
    same_quality_cheaper,
    unbeaten,
    wins,
)
from tunewise.decide.guards import GUARDS, NOT_PARITY, Guard, is_sound
from tunewise.decide.measurements import Measurements, TrainedArm
from tunewise.decide.rules.base import MEASURED_GAIN, Rule, Ruling, gain_clause, gain_evidence, rule
from tunewise.decide.wording import (
    describe_gain,
    name_in_words,
    name_with_score,
    whole_percent,
    whole_points,
)
from tunewise.evaluate.stats import PairedGain
from tunewise.records import Recommendation


@rule(
    "beats-every-rival",
    "fine-tune",
    when=f"the tuned model beats every floor and every untrained approach by {whole_points(SMALLEST_GAIN)} "
    "or more, and passes all guards",
    advice="Use the tuned model.",
)
def beats_every_rival(m: Measurements) -> Ruling | None:
    """The tuned model wins, and nothing speaks against it."""
    arm = m.arm(FINE_TUNED)
    if arm is None or not wins(m, arm) or not is_sound(m, arm):
        return None
    sentence = f"Training beat everything that prompting could do: {gain_clause(m, arm.name)}."
    return Ruling(sentence, gain_evidence(m, arm.name), arm=arm.name)


@rule(
    "same-quality-cheaper",
    "fine-tune",
    when="the tuned model beats guessing and passes all guards; beside the best untrained approach, and "
    f"each other that it does not beat, it is surely not worse by {whole_points(SMALLEST_GAIN)}, its calls "
    f"cost {whole_percent(MIN_SAVED_SHARE)} less or better, and at the number of calls that you declared it "
    f"has paid for itself within {MAX_PAYBACK_MONTHS} months",
    advice="Use the tuned model if your calls are as many as you said.",
)
def equally_good_and_cheaper(m: Measurements) -> Ruling | None:
    """As good as the best prompt for less; only where a number of calls was declared."""
    arm = m.arm(FINE_TUNED)
    if arm is None or not same_quality_cheaper(m, arm) or not is_sound(m, arm):
        return None
    rivals = rivals_to_undercut(m, arm)
    savings = {name: saving for name in rivals if (saving := m.saving(arm, name)) is not None}
    best = m.best_untrained or ""
    saving = savings.pop(best)
    calls = m.calls_per_month or 0.0
    share = whole_percent(saving.share)
    others = [
        f"; beside {name_in_words(m, name)}, which it does not surely beat, after {other.break_even_calls:,}"
        for name, other in savings.items()
    ]
    return Ruling(
        f"The tuned model is as good as {name_in_words(m, best)} ({gain_clause(m, arm.name)}), and its calls "
        f"cost {share} less: after {saving.break_even_calls:,} calls training has paid for "
        f"itself{''.join(others)}.",
        {
            **gain_evidence(m, arm.name),
            "saved_share": saving.share,
            "calls_per_month": calls,
            "upkeep_per_month": m.upkeep_per_month,
            "break_even_calls": saving.break_even_calls,
            "payback_months": saving.payback_months(calls, m.upkeep_per_month),
        },
        f", and its calls cost {share} less: it pays back after {saving.break_even_calls:,} calls",
        arm=arm.name,
        covers=frozenset({"cheaper-per-call"}),
    )


def _flawed(m: Measurements, guard: Guard) -> Ruling | None:
    """The ruling on a trained model that wins and that this guard is the first to stop."""
    for arm in m.arms:
        flaw = guard.find(m, arm) if _contends(m, arm, guard) else None
        if flaw is None:
            continue
        instead: Recommendation = "use-rag" if documents_win(m) else "keep-prompting"
        return Ruling(
            flaw.sentence,
            flaw.evidence | ({} if guard.code == NOT_PARITY else gain_evidence(m, arm.name)),
            f", but {flaw.clause}",
            "inconclusive" if guard.settles_nothing else instead,
            arm=arm.name,
            covers=frozenset({guard.code} | ({MEASURED_GAIN} if guard.code == NOT_PARITY else set())),
        )
    return None


def _contends(m: Measurements, arm: TrainedArm, guard: Guard) -> bool:
    """Whether this model would be recommended but for guards.

    One that is not served as it was trained has no score, so neither a win nor a loss says anything of it.
    """
    return wins(m, arm) or (guard.code == NOT_PARITY and arm == m.main_arm)


def _rule_of(guard: Guard) -> Rule:
    instead: tuple[Recommendation, ...] = ("keep-prompting", "use-rag")
    recommendations = ("inconclusive",) if guard.settles_nothing else instead
    return Rule(guard.code, recommendations, guard.when, guard.advice, lambda m: _flawed(m, guard))


GUARD_RULES: tuple[Rule, ...] = tuple(_rule_of(guard) for guard in GUARDS)
"""One for each guard: training scored better, but."""


@rule(
    "calls-fail",
    "inconclusive",
    when=f"more than {whole_percent(MAX_FAILED_SHARE)} of the calls of a tuned model, or of the best "
    "untrained approach, failed",
    advice="Start the same command again, which asks it anew; `scores.jsonl` holds the errors.",
)
def calls_fail(m: Measurements) -> Ruling | None:
    """Failed calls count as wrong answers, so a loss of either side may be that of its serving."""
    best = () if m.best_untrained is None else (m.best_untrained,)
    row = failing(m, [*(arm.name for arm in m.arms), *best])
    if row is None:
        return None
    share, name = whole_percent(failed_share(row)), name_in_words(m, row.name)
    return Ruling(
        f"{share} of the calls of {name} failed, so nothing can be said: start the same command again, which "
        "asks it anew.",
        {"failed": row.failed},
        f", but {share} of the calls of {name} failed: run it again",
        covers=frozenset({MEASURED_GAIN, "test-size"}),
    )


@rule(
    "prompting-already-good",
    "keep-prompting",
    when=f"the best untrained approach beats guessing and is within {whole_points(SMALLEST_GAIN)} of the "
    "best possible score",
    advice="Stay with the prompt: there is little left to gain.",
)
def prompting_already_good(m: Measurements) -> Ruling | None:
    """Less than the smallest gain worth training for is left to be gained."""
    rival = m.rival
    if rival is None or m.ceiling - rival.score >= SMALLEST_GAIN or not beats_floors(m, rival.name):
        return None
    score, name = whole_percent(rival.score), name_in_words(m, rival.name)
    sentence = f"{name[:1].upper()}{name[1:]} already scores {score}: there is little left to gain."
    if m.ceiling <= LOW_CEILING:
        sentence = (
            f"Your answers contradict each other so often that nobody could score above "
            f"{whole_percent(m.ceiling)}, and {name} already scores {score}."
        )
    evidence = {"score": rival.score, "best_possible": m.ceiling}
    return Ruling(sentence, evidence, ": there is little left to gain")


@rule(
    "gain-too-small",
    "keep-prompting",
    when="what each trained model gained over some untrained approach is surely less than "
    f"{whole_points(SMALLEST_GAIN)}",
    advice="Stay with the prompt: it is quicker to change and survives a change of the model.",
)
def gain_too_small(m: Measurements) -> Ruling | None:
    """A gain that surely does not matter."""
    return _nothing_gained(
        m,
        lambda gain: gain.high < SMALLEST_GAIN,
        lambda _, over: f"training gained nothing that matters{over}",
    )


@rule(
    "no-gain-seen",
    "keep-prompting",
    when="no trained model scored better than every untrained approach",
    advice="Stay with the prompt. A gain may be too small for this test to see.",
)
def no_gain_seen(m: Measurements) -> Ruling | None:
    """No gain to be seen, though one too small for this test cannot be excluded."""

    def say(gain: PairedGain, over: str) -> str:
        visible = detectable_difference(m.compared_examples / gain.design_effect, gain.discordance)
        if visible is None:
            return f"no gain was seen{over}, and this test could show none"
        return f"no gain was seen{over}, of which this test could show {whole_points(visible)} or more"

    ruling = _nothing_gained(m, lambda gain: gain.estimate <= 0, say)
    return None if ruling is None else replace(ruling, covers=ruling.covers | {"test-size"})


def _nothing_gained(
    m: Measurements, is_nothing: Callable[[PairedGain], bool], say: Callable[[PairedGain, str], str]
) -> Ruling | None:
    """Over the best untrained rival, or over one that was not the best on validation but is on the test.

    By no trained model: one of them that gained something leaves it open.
    """
    found = {arm.name: _gained_nothing_over(m, arm, is_nothing) for arm in m.tested_arms}
    if m.main_arm is None or not all(found.values()):
        return None
    arm = m.main_arm
    gains = found.get(arm.name) or {}
    if not gains:
        return None
    is_best = m.best_untrained in gains
    rival = m.best_untrained if is_best else min(gains, key=lambda name: gains[name].estimate)
    assert rival is not None
    over = "" if is_best else f" over {name_with_score(m, rival)}"
    said = say(gains[rival], "")
    return Ruling(
        f"{said[:1].upper()}{said[1:]}: {describe_gain(rival, gains[rival])}.",
        gain_evidence(m, arm.name) | {"nothing_gained_over": rival},
        f": {say(gains[rival], over)}",
        covers=frozenset({MEASURED_GAIN}) if is_best else frozenset(),
    )


def _gained_nothing_over(
    m: Measurements, arm: TrainedArm, is_nothing: Callable[[PairedGain], bool]
) -> dict[str, PairedGain]:
    gains = {name: m.gain_over(arm.name, name) for name in m.untrained}
    return {name: gain for name, gain in gains.items() if gain is not None and is_nothing(gain)}


@rule(
    "not-compared",
    "inconclusive",
    when="no tuned model, or no prompt to compare it with, was run",
    advice="Run the missing one as well.",
)
def not_compared(m: Measurements) -> Ruling | None:
    """Nothing to decide about."""
    if m.rival is not None and m.main_arm is not None:
        return None
    missing = "a prompt" if m.rival is None else "a tuned model"
    return Ruling(
        f"Without {missing} to compare with there is nothing to decide: run it as well.",
        {},
        f"; {missing} to compare with was not run",
    )


# Dealt test sets grow no further than to show a gain of ten points.
_GIVE_THEM = (
    "; a larger file brings no more of them, so give all test examples in one of their own (`--test`)"
)


@rule(
    "cannot-tell",
    "inconclusive",
    when="none of the above: there is a gain that could be chance, or too small to matter, or a rival whose "
    "answers cannot be scored",
    advice="Bring as many more test examples as it says, in a file of their own with those that there are "
    "(`--test`), and run again.",
)
def cannot_tell(m: Measurements) -> Ruling | None:
    """What is left: a gain that may be chance, of the trained model that scores best.

    Says over whom, and how large a test set would tell.
    """
    arm = max(m.tested_arms, key=lambda arm: row.score if (row := m.row(arm.name)) else 0.0, default=None)
    rival = None if arm is None else unbeaten(m, arm)
    if arm is None or rival is None:
        return None
    evidence = gain_evidence(m, arm.name) | {"not_surely_better_than": rival}
    gain, name = m.gain_over(arm.name, rival), name_in_words(m, rival)
    if gain is None:
        return Ruling(
            f"{name_in_words(m, arm.name).capitalize()} could not be compared with {name}: there is no test "
            "example on which both have a score.",
            evidence,
            f", but could not be compared with {name}",
            arm=arm.name,
        )
    asks = []
    for size in (CLEAR_GAIN, SMALLEST_GAIN):
        number = more_test_examples(size, gain, m.compared_examples)
        evidence[f"more_for_{100 * size:.0f}_points"] = number
        if number:
            asks.append(f"about {number} more test examples would show a gain of {100 * size:.0f} points")
    is_best = rival == m.best_untrained
    if gain.is_sure:
        said, advice = "is sure, but may be too small to matter", ""
        short = "may be too small to matter"
    else:
        said, advice = "could be chance", f": {', '.join(asks)}" if asks else ""
        short = f"could be chance{advice}"
    how = "" if m.test_is_given or not advice else _GIVE_THEM
    return Ruling(
        f"The gain, {describe_gain(rival, gain)}, {said}{advice}{how}.",
        evidence,
        f", which {short}" if is_best else f", but its lead over {name_with_score(m, rival)} {short}",
        arm=arm.name,
        covers=frozenset({MEASURED_GAIN}) if is_best else frozenset(),
    )
