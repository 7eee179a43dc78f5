"""Measurements in, one recommendation out: the rules in the order in which they are tried.

Pure: no model, no file, no clock. `decide` asks each rule of `RULES` in turn and takes the first ruling. The
rules stand in `decide/rules`, what they ask in `criteria.py` (with every threshold and its reason), what
keeps a better score from being recommended in `guards.py`. What the order promises, tests hold it to:

- More gain by training never leaves "fine-tune"; nor do more calls.
- A better prompt, a higher floor or worse forgetting never lead to it, nor does another rival to training.
- Narrower intervals around the same estimates leave it for "fine-tune-and-rag" at most.

To add a rule, write a function from `Measurements` to a `Ruling` or None under `@rule`, give it its place in
`RULES`, and make the page anew: `python benchmarks/verdict_page.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunewise.approaches.names import FINE_TUNED, RAG, is_remote
from tunewise.decide.criteria import beats_floors, best_floor
from tunewise.decide.guards import served_otherwise
from tunewise.decide.measurements import Measurements, TrainedArm
from tunewise.decide.reasons import observe
from tunewise.decide.rules import of_data, of_documents, of_training
from tunewise.decide.rules.base import Rule, Ruling
from tunewise.decide.wording import name_in_words, score_in_words
from tunewise.records import TRAINS, Reason, Recommendation, Verdict

TITLES: dict[Recommendation, str] = {
    "keep-prompting": "Keep prompting",
    "use-rag": "Use your documents",
    "fine-tune": "Fine-tune",
    "fine-tune-and-rag": "Fine-tune and use your documents",
    "collect-more-data": "Collect more data",
    "fix-the-data": "Fix the data",
    "inconclusive": "Inconclusive",
}
MAX_REASONS = 3

RULES: tuple[Rule, ...] = (
    # Are these data that anything can be said about?
    of_data.answers_mispaired,
    of_data.no_score,
    of_data.good_on_few_examples,
    of_data.too_few_examples,
    # Is it about facts, which are looked up, rather than a skill, which is learned?
    of_documents.both_needed,
    of_documents.answers_live_in_documents,
    of_documents.facts_need_documents,
    of_documents.documents_lack_answers,
    of_documents.retrieval_misses,
    # Has training earned its place?
    of_training.beats_every_rival,
    of_training.equally_good_and_cheaper,
    *of_training.GUARD_RULES,
    # It has not. Do documents?
    of_documents.retrieval_helps,
    # Neither, as far as their calls were answered.
    of_training.calls_fail,
    # Does anything beat guessing, and what would?
    of_data.rare_answers_too_few,
    of_data.no_relation_found,
    of_data.still_learning,
    of_data.nothing_beats_guessing,
    # A prompt does. Is it good enough, or what would help?
    of_training.prompting_already_good,
    of_data.more_data_would_help,
    of_data.labels_cap_the_score,
    of_training.gain_too_small,
    of_training.no_gain_seen,
    of_training.not_compared,
    of_training.cannot_tell,
)


def decide(m: Measurements, *, forced: bool = False) -> Verdict:
    """The verdict on these measurements; its first reason is the ruling's, and says what was not measured.

    A model is deployed if it was recommended. `forced` deploys the tuned model whatever is recommended, but
    never one that is not served as it was trained: whoever forces has the scores in mind, and those are
    another model's.
    """
    rule, ruling = rule_on(m)
    recommendation = ruling.recommendation or rule.recommendations[0]
    arm = m.main_arm if ruling.arm is None else m.arm(ruling.arm)
    trains = recommendation in TRAINS
    evidence = {**ruling.evidence, "not_measured": list(m.not_measured)}
    beside = [reason for reason in observe(m, arm, recommendation) if reason.code not in ruling.covers]
    saving = None if arm is None else m.saving(arm, m.best_untrained)
    scores = _scores(m, _named(m, recommendation, arm))
    return Verdict(
        recommendation=recommendation,
        headline=f"{_title(m, recommendation)}: {scores}{ruling.consequence}.",
        primary_metric=m.primary_metric,
        test_examples=m.test_examples,
        approaches=m.approaches,
        best_without_training=m.best_untrained,
        gain=None if arm is None else m.gain(arm.name),
        reasons=(Reason(rule.code, ruling.sentence, evidence), *beside)[:MAX_REASONS],
        model=None if arm is None else arm.model,
        deployed=_may_be_deployed(m, arm) and (trains or forced),
        currency=m.currency,
        training_cost=0.0 if arm is None else m.training_cost(arm),
        break_even_calls=None if saving is None else saving.break_even_calls,
    )


def rule_on(m: Measurements) -> tuple[Rule, Ruling]:
    """The first rule that holds, and what it says; the last two hold wherever no other does."""
    return next((rule, ruling) for rule in RULES if (ruling := rule.ask(m)) is not None)


def _title(m: Measurements, recommendation: Recommendation) -> str:
    """The recommendation; another model is named, as prompting it is not what prompting usually means."""
    title, best = TITLES[recommendation], m.best_untrained
    is_named = recommendation == "keep-prompting" and best is not None and is_remote(best)
    return f"{title}, with {best}" if is_named else title


def _may_be_deployed(m: Measurements, arm: TrainedArm | None) -> bool:
    return arm is not None and arm.model is not None and served_otherwise(m, arm) is None


def _named(m: Measurements, recommendation: Recommendation, arm: TrainedArm | None) -> list[str]:
    """The approaches that a headline has to give the scores of, the one that it is about first."""
    trained, main = (None if model is None else model.name for model in (arm, m.main_arm))
    named = {
        "use-rag": (RAG, m.best_closed_book, trained),
        "fine-tune-and-rag": (trained, m.best_untrained, FINE_TUNED),
    }.get(recommendation, (trained, m.best_untrained, m.best_closed_book, main))
    return [name for name in dict.fromkeys(named) if name is not None]


def _scores(m: Measurements, names: Sequence[str]) -> str:
    """The absolute scores of these approaches, as a clause; of all where none of them was measured.

    Where one of them is not surely better than guessing, what guessing scores stands behind: 97% is no
    success if 97% of the answers are the same.
    """
    rows = [row for name in names if (row := m.row(name)) is not None] or list(m.approaches)
    floor = best_floor(m)
    if floor is not None and floor not in rows and not all(beats_floors(m, row.name) for row in rows):
        rows.append(floor)
    if not rows:
        return "nothing was measured"
    is_whole = m.compared_examples in (0, m.test_examples)
    examples = f"{'' if is_whole else f'{m.compared_examples} of '}{m.test_examples} unseen examples"
    (first, score), *others = [(name_in_words(m, row.name), score_in_words(m, row)) for row in rows]
    if m.primary_metric == "exact_match":
        clause = f"{first} gets {score} of {examples} right"
    else:
        metric = m.primary_metric.replace("_", " ")
        clause = f"{first} scores {score} on {metric} over {examples}"
    return ", ".join([clause, *(f"{name} {share}" for name, share in others)])
