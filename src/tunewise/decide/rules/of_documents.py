"""Rules about facts, which have to be looked up, and about the documents in which they stand."""

from __future__ import annotations

from typing import Any

from tunewise.approaches.names import FINE_TUNED, FINE_TUNED_RAG, RAG
from tunewise.decide.criteria import (
    CLEAR_GAIN,
    MIN_HIT_RATE,
    MIN_LIFT,
    SMALLEST_GAIN,
    are_facts,
    documents_know_more,
    documents_win,
    shows_training,
    unbeaten,
    wins,
    wins_over,
)
from tunewise.decide.guards import is_sound
from tunewise.decide.measurements import Measurements
from tunewise.decide.rules.base import MEASURED_GAIN, Ruling, gain_clause, gain_evidence, interval, rule
from tunewise.decide.wording import describe_gain, name_in_words, whole_percent, whole_points


@rule(
    "both-needed",
    "fine-tune-and-rag",
    when="the model that was tuned with documents beats every floor, every untrained approach and the model "
    f"that was tuned without, each by {whole_points(SMALLEST_GAIN)} or more, and passes all guards",
    advice="Use the tuned model, with the passages found for each question in its prompt.",
)
def both_needed(m: Measurements) -> Ruling | None:
    """Documents bring facts, training brings form."""
    arm = m.arm(FINE_TUNED_RAG)
    if arm is None or not wins(m, arm) or not is_sound(m, arm) or not shows_training(m):
        return None
    return Ruling(
        "Your documents bring what is to be said, training how to say it; together they beat everything "
        f"else: {gain_clause(m, arm.name)}.",
        gain_evidence(m, arm.name),
        arm=arm.name,
    )


@rule(
    "answers-live-in-documents",
    "use-rag",
    when=f"with documents at least {whole_points(CLEAR_GAIN)} more of the answers are known than any prompt, "
    "or training, knows without",
    advice="Put the passages found for each question into the prompt. Training would teach form, not facts.",
)
def answers_live_in_documents(m: Measurements) -> Ruling | None:
    """What is to be said stands in the documents and nowhere else."""
    if not documents_know_more(m):
        return None
    gains = m.knowing_gains[RAG]
    known = {name: m.knowing[name] for name in (RAG, *m.prompts, FINE_TUNED) if name in m.knowing}
    without = whole_percent(max((share for name, share in known.items() if name != RAG), default=0.0))
    share = whole_percent(known.get(RAG, 0.0))
    return Ruling(
        f"The answers live in your documents: with them the model knows {share} of the answers, in whatever "
        f"form it says them, without them at most {without}.",
        {"knows": known, "knows_more_than": {name: interval(gains[name].gain) for name in gains}},
        f"; with your documents it knows {share} of the answers, without them at most {without}",
    )


def _fact_evidence(m: Measurements) -> dict[str, Any]:
    seen = m.fact_or_skill
    if seen is None:
        return {}
    closed = seen.gap_closed
    return {
        "own_prompt_auc": seen.own_auc,
        "share_of_an_answer_in_its_prompt": seen.own_coverage,
        "different_answers": seen.distinct_answers,
        "share_of_the_facts_that_training_learned": closed and [closed.estimate, closed.low, closed.high],
        "near_miss": seen.near_miss,
    }


@rule(
    "facts-need-documents",
    "collect-more-data",
    when="the answers are facts that stand in no prompt and that training did not learn, and no documents "
    "were given",
    advice="Give the documents in which the answers stand. More examples will not help.",
)
def facts_need_documents(m: Measurements) -> Ruling | None:
    """Facts, and nothing to look them up in."""
    if not are_facts(m) or m.retrieval is not None:
        return None
    return Ruling(
        "The answers are facts that their questions do not hold, and training can only guess them: add "
        "documents in which they stand, not more examples.",
        _fact_evidence(m),
        ": the answers are facts, so add documents in which they stand, not more examples",
    )


@rule(
    "documents-lack-answers",
    "collect-more-data",
    when="the answers are facts, and the passages found hold them hardly more often than passages drawn at "
    f"random (by less than {whole_points(MIN_LIFT)})",
    advice="Give other documents: these do not hold the answers.",
)
def documents_lack_answers(m: Measurements) -> Ruling | None:
    """Facts, and documents about something else."""
    found = m.retrieval
    if not are_facts(m) or found is None or found.hit_rate is None or found.random_hit_rate is None:
        return None
    if found.hit_rate - found.random_hit_rate >= MIN_LIFT:
        return None
    return Ruling(
        f"The answers are facts, and your documents do not hold them: passages found for a question hold its "
        f"answer {whole_percent(found.hit_rate)} of the time, passages drawn at random "
        f"{whole_percent(found.random_hit_rate)}.",
        {**_fact_evidence(m), "hit_rate": found.hit_rate, "random_hit_rate": found.random_hit_rate},
        ": the answers are facts, and your documents do not hold them",
    )


@rule(
    "retrieval-misses",
    "inconclusive",
    when=f"the answers are facts that the documents hold, but fewer than {whole_percent(MIN_HIT_RATE)} of "
    "the searches find them",
    advice="Mend the search first: other passages, more of them, or a better index. Then run again.",
)
def retrieval_misses(m: Measurements) -> Ruling | None:
    """Facts that stand in the documents and are not found there."""
    found = m.retrieval
    if not are_facts(m) or found is None or found.hit_rate is None or found.hit_rate >= MIN_HIT_RATE:
        return None
    share = whole_percent(found.hit_rate)
    return Ruling(
        f"The answers are facts, and searching your documents finds only {share} of them: mend the search.",
        {**_fact_evidence(m), "hit_rate": found.hit_rate, "random_hit_rate": found.random_hit_rate},
        f": the answers are facts, and searching your documents finds only {share} of them",
    )


@rule(
    "retrieval-helps",
    "use-rag",
    when="the prompt with documents beats every floor and every other prompt by "
    f"{whole_points(SMALLEST_GAIN)} or more, and training has not won",
    advice="Put the passages found for each question into the prompt.",
)
def retrieval_helps(m: Measurements) -> Ruling | None:
    """Documents are worth their while, training has not proved to be."""
    if not documents_win(m):
        return None
    prompts = [name for name in m.prompts if m.gain_over(RAG, name) is not None]
    shown = m.best_closed_book if m.best_closed_book in prompts else prompts[0]
    training = _what_training_adds(m)
    gain = m.gains[RAG][shown]
    return Ruling(
        f"Your documents help: {describe_gain(shown, gain)}{training}.",
        {"against": {name: interval(m.gains[RAG][name]) for name in (*m.floors, *prompts)}},
        f"{training}",
        covers=frozenset() if training else frozenset({MEASURED_GAIN}),
    )


def _what_training_adds(m: Measurements) -> str:
    """To a prompt with documents, as a clause."""
    if m.main_arm is None:
        return ""
    for arm in m.arms:
        stronger = unbeaten(m, arm)
        if wins_over(m.gain_over(arm.name, RAG)) and stronger is not None:
            name, other = name_in_words(m, arm.name), name_in_words(m, stronger)
            return f"; {name} does better than that, but does not surely beat {other} by what matters"
    return "; training adds nothing proven to that"
