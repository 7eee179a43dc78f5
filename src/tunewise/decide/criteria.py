"""What rules ask of measurements: when something is better, good enough, sound, or a matter of facts. Pure.

Every threshold that decides has its name and its reason here. Where no source is named the number is this
project's own choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tunewise.approaches.names import FINE_TUNED, RAG, WITH_DOCUMENTS
from tunewise.data.split import examples_to_detect
from tunewise.decide.measurements import FactOrSkill, Forgetting, KnowingGain, Measurements, TrainedArm
from tunewise.evaluate.stats import PairedGain, non_inferiority_margin
from tunewise.records import ApproachResult

# The smallest gain worth training for. Test labels themselves are wrong on 3.3% of examples on average
# (Northcutt et al. 2021), so a smaller gain may be a gain at fitting mistakes.
SMALLEST_GAIN = 0.03
# A gain that nobody overlooks: what "how many more test examples" is told for beside the smallest one, and
# what documents have to add to knowledge before they decide alone.
CLEAR_GAIN = 0.10

# Guidance for a first fine-tune starts at 50 examples (OpenAI); fewer test examples than 30 are an anecdote.
MIN_UNIQUE_EXAMPLES = 50
MIN_TEST_EXAMPLES = 30
# With five groups even five wins out of five happen by chance 1 time in 32, which is more than 2.5%.
MIN_TEST_GROUPS = 6
# The test set is a quarter of the examples at most, so each further test example takes four of them or more.
EXAMPLES_PER_TEST_EXAMPLE = 4
# Fewer answers in which knowledge is defined are an anecdote too.
MIN_KNOWING_EXAMPLES = 30
# On too few examples to compare, prompting is still good enough if it surely is this near to the ceiling.
GOOD_ENOUGH_MARGIN = 0.10

# With more failed calls than this, a score measures the serving rather than the model.
MAX_FAILED_SHARE = 0.02
# A forgotten twentieth is noticed by whoever asks other things as well; so is a twentieth of strange answers.
MAX_FORGOTTEN = 0.05
MAX_TASK_FORM_SHARE = 0.05

# Answers that are worked out from their prompts (prices, addresses, commands) tell their own prompt from
# others at 0.86 and more, answers that stand nowhere at 0.5. Shuffled, a third and more of them fit another
# prompt better, which at most a tenth of good ones do.
MAX_AUC_OF_STRANGERS = 0.6
MIN_MISPAIRED = 0.25
MAX_COVERAGE_OF_FACTS = 0.1
# So few different answers are labels, and labels are learned from examples, whatever their prompts hold.
MAX_LABELS = 20
# What training learned of facts without documents is what can be guessed: a fifth was measured.
MAX_GAP_CLOSED_BY_GUESSING = 0.35
MAX_NEAR_MISS_OF_GUESSING = 0.15
# A curve that rises by less for twice the examples does not learn from them.
FLAT_CURVE = 0.02

# Documents in which searching finds no more than a draw would hold something else.
MIN_LIFT = 0.1
# A search that finds less than every other answer is to be mended before anything is built on it.
MIN_HIT_RATE = 0.5

# Below this even a perfect model looks wrong in a tenth of its answers.
LOW_CEILING = 0.9
# One answer that is right so often hides everything else a model may have learned ...
DOMINANT_SHARE = 0.8
# ... of which fewer test examples cannot tell.
MIN_OTHER_ANSWERS = 15

# Savings are estimates of few seconds; models and prices are rarely the same after half a year.
MIN_SAVED_SHARE = 0.30
MAX_PAYBACK_MONTHS = 6


def surely_beats(gain: PairedGain | None) -> bool:
    """Whether there is a gain at all."""
    return gain is not None and gain.is_sure


def wins_over(gain: PairedGain | None) -> bool:
    """Whether there is a gain (surely) and it is one that matters (in all likelihood)."""
    return gain is not None and gain.is_sure and gain.estimate >= SMALLEST_GAIN


def beats_floors(m: Measurements, name: str | None) -> bool:
    """Whether this approach is surely better than every rival that needs no model."""
    return name is not None and all(surely_beats(m.gain_over(name, floor)) for floor in m.floors)


def wins(m: Measurements, arm: TrainedArm | None) -> bool:
    """Whether a trained model beats every rival and floor.

    No correction for the number of rivals: claiming to beat every one of them is an intersection-union
    test, in which each comparison may use the full level (Berger 1982).
    """
    if arm is None or m.best_untrained is None:
        return False
    return all(wins_over(m.gain_over(arm.name, rival)) for rival in m.rivals_of(arm.name))


def documents_win(m: Measurements) -> bool:
    """Whether a prompt with documents beats every floor and every prompt without, and all calls work."""
    if m.row(RAG) is None or not m.prompts or failing(m, (RAG, *m.prompts)):
        return False
    return all(wins_over(m.gain_over(RAG, rival)) for rival in (*m.floors, *m.prompts))


def documents_know_more(m: Measurements) -> bool:
    """Whether with documents far more is known than any prompt, or training, knows without."""
    without = (*m.prompts, *([FINE_TUNED] if m.arm(FINE_TUNED) is not None else []))
    if not shows_training(m) or failing(m, (RAG, *without)):
        return False
    gains = [_told(m.knowing_gains.get(RAG, {}).get(name)) for name in without]
    return bool(gains) and all(
        gain is not None and gain.is_sure and gain.estimate >= CLEAR_GAIN for gain in gains
    )


def lost_knowledge(m: Measurements, arm: TrainedArm) -> tuple[str, PairedGain] | None:
    """The untrained rival that knows more than this model by what matters, if there is one.

    The estimate decides, without its interval: it is for training to show that it does no harm.
    """
    known = m.knowing_gains.get(arm.name, {})
    gains = {name: gain for name in m.untrained if (gain := _told(known.get(name))) is not None}
    worst = min(gains, key=lambda name: gains[name].estimate, default=None)
    return None if worst is None or gains[worst].estimate > -SMALLEST_GAIN else (worst, gains[worst])


def _told(knowing: KnowingGain | None) -> PairedGain | None:
    return knowing.gain if knowing is not None and knowing.examples >= MIN_KNOWING_EXAMPLES else None


def more_test_examples(size: float, gain: PairedGain, test_examples: int) -> int:
    """How many more would show a gain of this size; 0 where there are enough.

    That is for gains worth seeing, never for the gain that was observed, which would only repeat the p-value
    in other words (Hoenig & Heisey 2001).
    """
    needed = round(gain.design_effect * examples_to_detect(size, gain.discordance))
    return max(needed - test_examples, 0)


def shows_training(m: Measurements) -> bool:
    """Whether what the tuned model answered is what training taught it; True where none was tested."""
    arm = m.arm(FINE_TUNED)
    return arm is None or (arm.is_served_as_trained and failing(m, [arm.name]) is None)


def too_few(m: Measurements) -> bool:
    """Whether there is too little to compare on."""
    return (
        m.unique_examples < MIN_UNIQUE_EXAMPLES
        or m.compared_examples < MIN_TEST_EXAMPLES
        or m.test_groups < MIN_TEST_GROUPS
    )


def are_facts(m: Measurements) -> bool:
    """Whether answers have to be looked up: no prompt holds them, and training did not learn them."""
    seen = m.fact_or_skill
    if seen is None or seen.gap_closed is None or not _stand_nowhere(seen) or not shows_training(m):
        return False
    curve_is_flat = m.learning_curve is not None and m.learning_curve.median < FLAT_CURVE
    is_guessing = seen.near_miss is not None and seen.near_miss <= MAX_NEAR_MISS_OF_GUESSING
    return seen.gap_closed.high <= MAX_GAP_CLOSED_BY_GUESSING and (is_guessing or curve_is_flat)


def _stand_nowhere(seen: FactOrSkill) -> bool:
    return (
        seen.own_auc <= MAX_AUC_OF_STRANGERS
        and seen.own_coverage <= MAX_COVERAGE_OF_FACTS
        and seen.distinct_answers > MAX_LABELS
    )


def forgets(forgetting: Forgetting) -> bool:
    """Whether training did harm beyond its task."""
    retention = forgetting.retention
    return (
        forgetting.kl_divergence > forgetting.kl_tolerance
        or (retention.estimate < -MAX_FORGOTTEN and retention.high < 0)
        or forgetting.task_form_share >= MAX_TASK_FORM_SHARE
    )


def failed_share(row: ApproachResult) -> float:
    """Of all calls."""
    return row.failed / max(1, row.answered + row.failed)


def fail_too_often(failed: int, calls: int) -> bool:
    """Whether more than `MAX_FAILED_SHARE` of these calls failed."""
    return failed > MAX_FAILED_SHARE * calls


def failing(m: Measurements, names: Iterable[str]) -> ApproachResult | None:
    """Whichever of these had more failed calls than may be."""
    rows = (row for name in names if (row := m.row(name)) is not None)
    return next((row for row in rows if fail_too_often(row.failed, row.answered + row.failed)), None)


def best_floor(m: Measurements) -> ApproachResult | None:
    """The best of those that need no model."""
    rows = [row for row in m.approaches if row.name in m.floors]
    return max(rows, key=lambda row: row.score, default=None)


def not_inferior(m: Measurements, arm: TrainedArm, rival: str) -> bool:
    """Whether this model is surely not worse than `rival` by anything that matters."""
    gain, row, floor = m.gain_over(arm.name, rival), m.row(rival), best_floor(m)
    if gain is None or row is None:
        return False
    guessing = floor.score if floor is not None else 0.0
    return gain.low > -non_inferiority_margin(SMALLEST_GAIN, row.score, guessing)


def pays_back(m: Measurements, arm: TrainedArm, rival: str) -> bool:
    """Whether at the declared number of calls this model is soon cheaper than `rival`, and by much."""
    saving = m.saving(arm, rival)
    if m.calls_per_month is None or saving is None:
        return False
    months = saving.payback_months(m.calls_per_month, m.upkeep_per_month)
    return saving.share >= MIN_SAVED_SHARE and months <= MAX_PAYBACK_MONTHS


def rivals_to_undercut(m: Measurements, arm: TrainedArm) -> list[str]:
    """The best untrained rival and all others that this model does not beat: it has to be cheaper than each.

    The best one always, so that a model that beats it too is held to no less than one that does not.
    """
    return [
        name for name in m.untrained if name == m.best_untrained or not wins_over(m.gain_over(arm.name, name))
    ]


def unbeaten(m: Measurements, arm: TrainedArm) -> str | None:
    """What keeps this model from winning: the best untrained rival, or else whoever did best beside it.

    One that it could not be compared with comes last. None if it wins.
    """
    gains = {name: m.gain_over(arm.name, name) for name in m.rivals_of(arm.name)}
    names = [name for name, gain in gains.items() if not wins_over(gain)]
    if m.best_untrained in names:
        return m.best_untrained
    return min(names, key=lambda name: gain.low if (gain := gains[name]) else math.inf, default=None)


def same_quality_cheaper(m: Measurements, arm: TrainedArm | None) -> bool:
    """Whether a model that beats guessing is as good as the best prompt, or better, and cheaper."""
    if arm is None or m.best_untrained is None or not beats_floors(m, arm.name):
        return False
    rivals = rivals_to_undercut(m, arm)
    return all(not_inferior(m, arm, name) and pays_back(m, arm, name) for name in rivals)


def has_documents(name: str) -> bool:
    """Whether this approach is given passages of the documents."""
    return name in WITH_DOCUMENTS
