"""Measurements in, one recommendation out: the rules in the order in which they are tried.

Pure: no model, no file, no clock. `decide` asks each rule of `RULES` in turn and takes the first ruling.
To add a rule, write a function from `Measurements` to a `Ruling` or None and give it its place in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunewise.data.split import examples_to_detect
from tunewise.decide.measurements import Measurements
from tunewise.decide.reasons import (
    gain_clause,
    gain_evidence,
    parity_reason,
    reasons_against_training,
    reasons_for_training,
)
from tunewise.decide.wording import percent, scores
from tunewise.evaluate.stats import PairedGain
from tunewise.records import ApproachResult, Reason, Recommendation, Verdict

# The smallest gain worth training for. Test labels themselves are wrong on 3.3% of examples on average
# (Northcutt et al. 2021), so a smaller gain may be a gain at fitting mistakes.
SMALLEST_GAIN = 0.03
# Guidance for a first fine-tune starts at 50 examples (OpenAI); fewer test examples than 30 are an anecdote.
MIN_EXAMPLES = 50
MIN_TEST_EXAMPLES = 30
# With five groups even five wins out of five happen by chance 1 time in 32, which is more than 2.5%.
MIN_TEST_GROUPS = 6
# The test set is a quarter of the examples, so each further test example takes four of them.
EXAMPLES_PER_TEST_EXAMPLE = 4
# With more failed calls than this, a score measures the serving rather than the model.
MAX_FAILED_SHARE = 0.02
# What a perfect model would score: 1, as nobody has measured how often the answers contradict each other.
CEILING = 1.0
# On too few examples to compare, prompting is still good enough if it surely is this near to the ceiling.
GOOD_ENOUGH_MARGIN = 0.10
# "How many more test examples" is told for the smallest gain, and for one that is hard to overlook.
CLEAR_GAIN = 0.10

TITLES: dict[Recommendation, str] = {
    "keep-prompting": "Keep prompting",
    "use-rag": "Use your documents",
    "fine-tune": "Fine-tune",
    "fine-tune-and-rag": "Fine-tune and use your documents",
    "collect-more-data": "Collect more data",
    "fix-the-data": "Fix the data",
    "inconclusive": "Inconclusive",
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says when it applies."""

    recommendation: Recommendation
    code: str
    sentence: str
    """The reason, as one sentence."""
    evidence: dict[str, Any]
    consequence: str = ""
    """How the headline goes on after the scores."""


Rule = Callable[[Measurements], Ruling | None]


def decide(m: Measurements, *, forced: bool = False) -> Verdict:
    """The verdict on these measurements.

    `forced` deploys the tuned model whatever the recommendation is, but never one that is not served as it
    was trained: whoever forces has the scores in mind, and those are another model's.
    """
    ruling = next(ruling for rule in RULES if (ruling := rule(m)) is not None)
    train = ruling.recommendation == "fine-tune"
    beside = reasons_for_training(m) if train else reasons_against_training(m)
    new = [reason for reason in beside if not reason.evidence.keys() <= ruling.evidence.keys()]
    return Verdict(
        recommendation=ruling.recommendation,
        headline=f"{TITLES[ruling.recommendation]}: {_scores(m)}{ruling.consequence}.",
        primary_metric=m.primary_metric,
        test_examples=m.test_examples,
        approaches=m.approaches,
        best_without_training=m.best_untrained,
        gain=m.gain,
        reasons=(Reason(ruling.code, ruling.sentence, ruling.evidence), *new)[:3],
        model=m.model,
        deployed=m.model is not None and (train or forced) and parity_reason(m) is None,
        currency=m.currency,
        training_cost=m.training_cost,
        break_even_calls=m.break_even_calls,
    )


def won(m: Measurements) -> bool:
    """Whether the tuned model beats every rival and floor: surely (interval above 0), and by enough.

    No correction for the number of rivals: claiming to beat every one of them is an intersection-union
    test, in which each comparison may use the full level (Berger 1982).
    """
    beaten = (gain.low > 0 and gain.estimate >= SMALLEST_GAIN for gain in m.gains.values())
    return m.gain_over_rival is not None and all(beaten)


def too_few_examples(m: Measurements) -> Ruling | None:
    """Too little to compare on; prompting may still be plainly good enough."""
    more_for_test = EXAMPLES_PER_TEST_EXAMPLE * (MIN_TEST_EXAMPLES - m.test_examples)
    more_examples = max(MIN_EXAMPLES - m.unique_examples, more_for_test, 0)
    more_groups = max(EXAMPLES_PER_TEST_EXAMPLE * (MIN_TEST_GROUPS - m.test_groups), 0)
    if not more_examples and not more_groups:
        return None
    evidence: dict[str, Any] = {
        "unique_examples": m.unique_examples,
        "test_examples": m.test_examples,
        "test_groups": m.test_groups,
    }
    rival = m.rival
    if rival and rival.low >= CEILING - GOOD_ENOUGH_MARGIN and _beats_floors(m, m.untrained_gains):
        sentence = f"Even on few examples {rival.name} surely scores at least {percent(rival.low)}."
        evidence |= {"score": rival.score, "low": rival.low}
        return Ruling(
            "keep-prompting", "prompting-already-good", sentence, evidence, ", which is already good"
        )
    wanted = f"{more_examples} more examples" if more_examples else f"{more_groups} more groups of examples"
    sentence = (
        f"{m.unique_examples} different examples, {m.test_examples} of them for testing in {m.test_groups} "
        f"groups, cannot settle the question: bring about {wanted}."
    )
    evidence |= {"more_examples": more_examples, "more_groups": more_groups}
    consequence = f", on too few examples to tell: bring about {wanted}"
    return Ruling("collect-more-data", "too-few-examples", sentence, evidence, consequence)


def rival_calls_fail(m: Measurements) -> Ruling | None:
    """A win over a rival whose calls failed says nothing about what that rival answers."""
    rival = m.rival
    if rival is None or not won(m) or _failed_share(rival) <= MAX_FAILED_SHARE:
        return None
    share = percent(_failed_share(rival))
    sentence = f"{share} of the calls of {rival.name} failed, so beating it proves nothing: run it again."
    consequence = f", but {share} of that prompt's calls failed: run it again"
    return Ruling("inconclusive", "rival-calls-fail", sentence, {"failed": rival.failed}, consequence)


def not_parity(m: Measurements) -> Ruling | None:
    """What was tested is not what was trained, so neither a win nor a loss says anything of training."""
    reason = parity_reason(m)
    if reason is None:
        return None
    consequence = ", but the served model is not the trained one"
    return Ruling("keep-prompting", reason.code, reason.text, reason.evidence, consequence)


def beats_every_rival(m: Measurements) -> Ruling | None:
    """The tuned model wins, and its calls work."""
    if m.tuned is None or not won(m) or _failed_share(m.tuned) > MAX_FAILED_SHARE:
        return None
    sentence = f"Training beat everything that prompting could do: {gain_clause(m)}."
    return Ruling("fine-tune", "beats-every-rival", sentence, gain_evidence(m))


def tuned_calls_fail(m: Measurements) -> Ruling | None:
    """A better score from a model whose calls fail too often to be used."""
    if m.tuned is None or not won(m) or _failed_share(m.tuned) <= MAX_FAILED_SHARE:
        return None
    share = percent(_failed_share(m.tuned))
    sentence = f"Training scored better, but {share} of the tuned model's calls failed."
    consequence = f", but {share} of the tuned model's calls failed"
    return Ruling("keep-prompting", "tuned-calls-fail", sentence, {"failed": m.tuned.failed}, consequence)


def nothing_beats_guessing(m: Measurements) -> Ruling | None:
    """Neither prompting nor training is surely better than rivals that need no model."""
    if _beats_floors(m, m.untrained_gains) or _beats_floors(m, m.gains):
        return None
    floor = max((row for row in m.approaches if row.name in m.floors), key=lambda row: row.score)
    sentence = f"Nothing is surely better than {floor.name}, which needs no model: try a larger base model."
    consequence = f", and guessing ({floor.name}) {percent(floor.score)}: try a larger base model"
    evidence = {"floor": floor.name, "score": floor.score}
    return Ruling("inconclusive", "nothing-beats-guessing", sentence, evidence, consequence)


def prompting_already_good(m: Measurements) -> Ruling | None:
    """Less than the smallest gain worth training for is left to be gained."""
    rival = m.rival
    if rival is None or CEILING - rival.score >= SMALLEST_GAIN:
        return None
    sentence = f"{rival.name} already scores {percent(rival.score)}: there is little left to gain."
    consequence = ": there is little left to gain"
    return Ruling("keep-prompting", "prompting-already-good", sentence, {"score": rival.score}, consequence)


def gain_does_not_matter(m: Measurements) -> Ruling | None:
    """The gain over the best untrained rival is surely too small, or there is none to be seen."""
    gain = m.gain
    if gain is None or (gain.high >= SMALLEST_GAIN and gain.estimate > 0):
        return None
    code = "gain-too-small" if gain.high < SMALLEST_GAIN else "no-gain-seen"
    sentence = f"Training gained nothing that matters: {gain_clause(m)}."
    consequence = ": training gained nothing that matters"
    return Ruling("keep-prompting", code, sentence, gain_evidence(m), consequence)


def cannot_tell(m: Measurements) -> Ruling:
    """What is left: a gain that may be chance. Says how large a test set would tell.

    That size is for gains worth seeing, never for the gain that was observed, which would only repeat the
    p-value in other words (Hoenig & Heisey 2001).
    """
    gain = m.gain_over_rival
    if gain is None:
        missing = "a prompt" if m.rival is None else "a tuned model"
        sentence = f"Without {missing} to compare with there is nothing to decide: run it as well."
        return Ruling("inconclusive", "cannot-tell", sentence, {}, f"; {missing} to compare with was not run")
    asks, more = [], {}
    for size in (CLEAR_GAIN, SMALLEST_GAIN):
        needed = round(gain.design_effect * examples_to_detect(size, gain.discordance))
        more[f"more_for_{100 * size:.0f}_points"] = max(needed - m.test_examples, 0)
        if needed > m.test_examples:
            more_needed = f"about {needed - m.test_examples} more test examples"
            asks.append(f"{more_needed} would show a gain of {100 * size:.0f} points")
    advice = f": {', '.join(asks)}" if asks else ""
    sentence = f"The gain, {gain_clause(m)}, could be chance or too small to matter{advice}."
    consequence = f", which could be chance{advice}"
    return Ruling("inconclusive", "cannot-tell", sentence, gain_evidence(m) | more, consequence)


RULES: tuple[Rule, ...] = (
    too_few_examples,
    rival_calls_fail,
    not_parity,
    beats_every_rival,
    tuned_calls_fail,
    nothing_beats_guessing,
    prompting_already_good,
    gain_does_not_matter,
    cannot_tell,
)


def _beats_floors(m: Measurements, gains: Mapping[str, PairedGain]) -> bool:
    return all(floor in gains and gains[floor].low > 0 for floor in m.floors)


def _failed_share(row: ApproachResult) -> float:
    return row.failed / max(1, row.answered + row.failed)


def _scores(m: Measurements) -> str:
    """The tuned model's score and the best prompt's; without either, those of whatever was measured."""
    rows = [row for row in (m.tuned, m.rival) if row is not None] or m.approaches
    return scores([(_who(m, row), row.score) for row in rows], m.primary_metric, m.test_examples)


def _who(m: Measurements, row: ApproachResult) -> str:
    if row.name == m.tuned_name:
        return "the tuned model"
    return f"guessing ({row.name})" if row.name in m.floors else f"the best prompt ({row.name})"
