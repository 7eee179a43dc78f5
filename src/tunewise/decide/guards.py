"""What keeps a trained model from being recommended although it scores better. Pure.

To add a guard, write a function from measurements and a trained model to a `Flaw` or None, and give it its
place in `GUARDS`; each becomes a rule of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tunewise.decide.criteria import (
    MAX_FAILED_SHARE,
    SMALLEST_GAIN,
    are_facts,
    failed_share,
    failing,
    forgets,
    has_documents,
    lost_knowledge,
)
from tunewise.decide.measurements import Forgetting, Measurements, TrainedArm
from tunewise.decide.wording import name_in_words, whole_percent, whole_points
from tunewise.records import ParityCertificate

NOT_PARITY = "not-parity"
"""The code of the reason that stands in every verdict on a model that is not served as it was trained."""
FORGETS = "forgets"
"""The code of the guard, and elsewhere of the warning, that training did harm beyond its task."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a model in spite of its score."""

    sentence: str
    clause: str
    """The same for a headline, after "but"."""
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Guard:
    """One of the conditions that a recommended model has to fulfil."""

    code: str
    when: str
    advice: str
    find: Callable[[Measurements, TrainedArm], Flaw | None]
    settles_nothing: bool = False
    """Whether the flaw is one of the measurement, so that nothing can be recommended on it."""


def served_otherwise(m: Measurements, arm: TrainedArm) -> Flaw | None:  # noqa: ARG001 - a guard's shape
    """The model was tested as it is served, and that is not as it was trained."""
    parity = arm.parity
    if parity is None or arm.is_served_as_trained:
        return None
    sentence = f"{describe_other_model(parity)}, so its score says nothing: train it again."
    return Flaw(sentence, "the served model is not the trained one", {"parity": asdict(parity)})


def describe_other_model(parity: ParityCertificate) -> str:
    """What tells the served model from the trained one, where the certificate was not passed."""
    if not parity.ids_equal:
        seen = "it reads the same conversations as other tokens"
    elif parity.max_difference is None:
        seen = "no log-probabilities could be compared"
    else:
        seen = (
            f"log-probabilities of the same tokens differ by up to {parity.max_difference:.2g} nats, "
            f"where rounding in {parity.precision} explains {parity.tolerance:.2g}"
        )
    return f"The served model is not the trained one ({seen})"


def rival_calls_fail(m: Measurements, arm: TrainedArm) -> Flaw | None:
    """A win over a rival whose calls failed says nothing about what that rival answers."""
    rival = failing(m, m.rivals_of(arm.name))
    if rival is None:
        return None
    share, name = whole_percent(failed_share(rival)), name_in_words(m, rival.name)
    sentence = (
        f"{share} of the calls of {name} failed, so beating it proves nothing: start the same command again, "
        "which asks it anew."
    )
    return Flaw(sentence, f"{share} of the calls of {name} failed: run it again", {"failed": rival.failed})


def tuned_calls_fail(m: Measurements, arm: TrainedArm) -> Flaw | None:
    """A model whose calls fail too often to be used."""
    row = failing(m, [arm.name])
    if row is None:
        return None
    share = whole_percent(failed_share(row))
    sentence = f"Training scored better, but {share} of the tuned model's calls failed."
    return Flaw(sentence, f"{share} of the tuned model's calls failed", {"failed": row.failed})


def guesses_facts(m: Measurements, arm: TrainedArm) -> Flaw | None:
    """A model that was tuned without documents, on answers that have to be looked up."""
    if has_documents(arm.name) or not are_facts(m):
        return None
    return Flaw(
        "Training scored better, but the answers are facts that their questions do not hold: what it gained "
        "are better guesses.",
        "the answers are facts, and what training gained are better guesses",
        {"hit_rate": m.retrieval.hit_rate if m.retrieval is not None else None},
    )


def knows_less(m: Measurements, arm: TrainedArm) -> Flaw | None:
    """A model that says it better and has less to say."""
    lost = lost_knowledge(m, arm)
    if lost is None:
        return None
    name, gain = lost
    points, rival = whole_points(gain.estimate), name_in_words(m, name)
    return Flaw(
        f"Training scored better, but it keeps the form better than it knows the answers: {rival} knows "
        f"{points} more of them, in whatever form it says them.",
        f"{rival} knows {points} more of the answers",
        {"knows_less_than": {name: [gain.estimate, gain.low, gain.high]}},
    )


def forgets_more_than_allowed(m: Measurements, arm: TrainedArm) -> Flaw | None:
    """A model for general use that is worse at it than before."""
    if not m.general_use or arm.forgetting is None or not forgets(arm.forgetting):
        return None
    seen = describe_forgetting(arm.forgetting)
    return Flaw(
        f"Training scored better, but the model forgot things that you want it for as well: {seen}.",
        "training made the model forget other things",
        {"forgetting": asdict(arm.forgetting)},
    )


def describe_forgetting(forgetting: Forgetting) -> str:
    """What training changed beyond its task, as a clause."""
    lost = max(0.0, -forgetting.retention.estimate)
    return (
        f"of general questions it gets {whole_points(lost)} fewer right, and answers "
        f"{whole_percent(forgetting.task_form_share)} in the form of your task"
    )


GUARDS: tuple[Guard, ...] = (
    Guard(
        NOT_PARITY,
        "the tuned model is not served as it was trained, whatever its score",
        "Train it again; if that does not help, report it. Its scores are those of another model.",
        served_otherwise,
    ),
    Guard(
        "rival-calls-fail",
        f"training wins, but more than {whole_percent(MAX_FAILED_SHARE)} of the calls of a rival failed",
        "Start the same command again, which asks that rival anew, or leave it out with `--approaches` and "
        "give another `--out`.",
        rival_calls_fail,
        settles_nothing=True,
    ),
    Guard(
        "tuned-calls-fail",
        f"training wins, but more than {whole_percent(MAX_FAILED_SHARE)} of the tuned model's calls failed",
        "Find out why they fail; `scores.jsonl` holds the errors.",
        tuned_calls_fail,
    ),
    Guard(
        "guesses-facts",
        "training without documents wins, but the answers are facts",
        "Look the answers up, in a prompt with documents: a better guess is still a guess.",
        guesses_facts,
    ),
    Guard(
        "knows-less",
        f"training wins, but an untrained rival knows {whole_points(SMALLEST_GAIN)} or more of the answers "
        "besides, in whatever form it says them",
        "Read the form out of that rival's answers, or have it enforced (structured output).",
        knows_less,
    ),
    Guard(
        FORGETS,
        "training wins, but it did harm beyond its task, and the model is for general use",
        "Send only the task to the tuned model and everything else to the base, or train with fewer passes.",
        forgets_more_than_allowed,
    ),
)


def is_sound(m: Measurements, arm: TrainedArm) -> bool:
    """Whether nothing speaks against a model that scores well."""
    return all(guard.find(m, arm) is None for guard in GUARDS)
