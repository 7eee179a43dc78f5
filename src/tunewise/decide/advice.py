"""What to do before there is anything to measure: a few answers in, the verdict's own words out. Pure.

The questions are those that the verdict's rules ask of measurements: is it facts or form that the model
lacks, are there enough examples, do they agree with each other, and what does prompting give already. Answers
of people are less sure than measurements, so the advice always ends in what to measure next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from tunewise.data.split import ASSUMED_DISCORDANCE, detectable_difference
from tunewise.decide.criteria import MIN_UNIQUE_EXAMPLES
from tunewise.decide.verdict import TITLES
from tunewise.records import Reason, Recommendation

Lacking = Literal["form", "facts", "both"]
Documents = Literal["yes", "no"]
Agreement = Literal["always", "mostly", "often-not"]
Prompting = Literal["not-tried", "bad", "usable", "good"]

COMFORTABLE_EXAMPLES = 400
"""Of which the quarter that is kept for testing shows a gain of 15 points (`detectable_difference`)."""
TEST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Situation:
    """What somebody says of a task that has no data yet."""

    lacking: Lacking
    """What its answers lack: the right form (format, labels, tone), facts that it cannot know, or both."""
    documents: Documents
    """Whether what it does not know is written down somewhere."""
    examples: int
    """Questions with their right answers that are there, or soon will be."""
    agreement: Agreement
    """Whether two people who know the task would give the same answer."""
    prompting: Prompting
    """What a careful prompt with a few examples in it gives today."""
    changes: bool = False
    """Whether right answers change within months."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What the verdict would say if what was said were measured."""

    recommendation: Recommendation
    headline: str
    reasons: tuple[Reason, ...]
    next_steps: tuple[str, ...] = field(default_factory=tuple)
    """In the order in which to take them."""


def advise(situation: Situation) -> Advice:
    """The first rule that applies decides; whatever else was said that matters stands among the reasons."""
    ruling = next(ruling for rule in RULES if (ruling := rule(situation)) is not None)
    found = (_disputed(situation), _changing(situation), _few(situation))
    beside = [reason for reason in found if reason is not None]
    return Advice(
        recommendation=ruling.recommendation,
        headline=f"{TITLES[ruling.recommendation]}: {ruling.clause}.",
        reasons=(Reason(ruling.code, ruling.text, {}), *beside),
        next_steps=(*ruling.steps, MEASURE),
    )


@dataclass(frozen=True, slots=True)
class _Ruling:
    recommendation: Recommendation
    code: str
    clause: str
    text: str
    steps: tuple[str, ...] = ()


MEASURE = (
    "Then measure it: `tunewise check DATA` looks at the examples, `tunewise run DATA` runs prompts and "
    "training against each other on examples that none of them has seen."
)
_EXAMPLE_FILE = (
    "one JSON object a line: "
    '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}. '
    "Take them as they come in, rare kinds too."
)
COLLECT_DOCUMENTS = (
    "Collect the documents that hold the answers, as text, Markdown, HTML or PDF, and 30 questions or more "
    "with their right answers to test with."
)


def prompting_already_good(s: Situation) -> _Ruling | None:
    """What works already needs no training."""
    if s.prompting != "good":
        return None
    return _Ruling(
        "keep-prompting",
        "prompting-already-good",
        "what you have is nearly always right, so there is little left to gain",
        "A prompt that is nearly always right leaves nothing to train for but its price per call.",
        ("Count it: ask 30 questions or more that you have not tuned the prompt on, and mark the answers.",),
    )


def labels_cap_the_score(s: Situation) -> _Ruling | None:
    """Nobody can be right more often than the right answer is agreed on."""
    if s.agreement != "often-not":
        return None
    return _Ruling(
        "fix-the-data",
        "labels-cap-the-score",
        "first agree on what a right answer is",
        "Where people who know the task differ on the right answer, a model learns their disagreement, and "
        "no test can tell a right answer from a wrong one.",
        (
            "Have two people answer the same 20 questions apart, and write down the rule for each "
            "difference.",
            _collect_examples(s),
        ),
    )


def facts_need_documents(s: Situation) -> _Ruling | None:
    """Facts that stand nowhere can be neither retrieved nor generalised."""
    if s.lacking == "form" or s.documents == "yes":
        return None
    return _Ruling(
        "collect-more-data",
        "facts-need-documents",
        "bring documents, not examples",
        "Training on questions and answers teaches how to answer, not what is true: asked about what it was "
        "not shown, the model makes something up in the right form.",
        (COLLECT_DOCUMENTS,),
    )


def answers_live_in_documents(s: Situation) -> _Ruling | None:
    """Documents bring facts."""
    if s.lacking != "facts":
        return None
    return _Ruling(
        "use-rag",
        "answers-live-in-documents",
        "the answers live in your documents",
        "Facts that are written down are looked up more reliably than they are learned, and can be corrected "
        "in a minute.",
        (COLLECT_DOCUMENTS,),
    )


def prompt_first(s: Situation) -> _Ruling | None:
    """A prompt takes an hour; nobody knows what training has to beat before it was tried."""
    if s.prompting != "not-tried":
        return None
    return _Ruling(
        "keep-prompting",
        "prompt-first",
        "a prompt with a few examples has to be tried before anything is trained",
        "What prompting gives is what training has to beat, and often it is enough.",
        (
            "Write the instruction, with the form of the answer spelled out and 4 to 8 examples in it.",
            _collect_examples(s),
        ),
    )


def too_few_examples(s: Situation) -> _Ruling | None:
    """Too few to train on, and to see whether it helped."""
    if s.examples >= MIN_UNIQUE_EXAMPLES:
        return None
    more = MIN_UNIQUE_EXAMPLES - s.examples
    return _Ruling(
        "collect-more-data",
        "too-few-examples",
        f"bring about {more} more example{'' if more == 1 else 's'}",
        f"{s.examples} examples are too few to learn from, and a quarter of them too few to see whether it "
        f"helped: {MIN_UNIQUE_EXAMPLES} is the least, {COMFORTABLE_EXAMPLES} is comfortable.",
        (_collect_examples(s),),
    )


def both_needed(s: Situation) -> _Ruling | None:
    """Documents bring facts, training brings form."""
    if s.lacking != "both":
        return None
    return _Ruling(
        "fine-tune-and-rag",
        "both-needed",
        "documents bring the facts, training brings the form",
        "Passages from documents in the prompt give the model what it does not know, and training on such "
        "prompts teaches it to answer from them in the form you want.",
        (COLLECT_DOCUMENTS, _collect_examples(s)),
    )


def form_is_learned(s: Situation) -> _Ruling:
    """What is left: a form that prompting does not get right, and enough examples of it."""
    return _Ruling(
        "fine-tune",
        "form-is-learned",
        f"a form that prompting does not get right is what {s.examples} examples can teach",
        "Formats, labels and tone are what training on examples is good at, and a small trained model often "
        "does what a large prompted one does, for less per call.",
        (_collect_examples(s),),
    )


RULES: tuple[Callable[[Situation], _Ruling | None], ...] = (
    prompting_already_good,
    labels_cap_the_score,
    facts_need_documents,
    answers_live_in_documents,
    prompt_first,
    too_few_examples,
    both_needed,
    form_is_learned,
)


def _collect_examples(s: Situation) -> str:
    """The step of writing examples down, with how many more would make the test a good one."""
    more = COMFORTABLE_EXAMPLES - s.examples
    if more <= 0:
        return f"Bring your {s.examples} questions with their right answers into one file, {_EXAMPLE_FILE}"
    return (
        f"Write down real questions with the answer you want, {more} more than the {s.examples} that you "
        f"spoke of if you can ({COMFORTABLE_EXAMPLES} in all), {_EXAMPLE_FILE}"
    )


def _disputed(s: Situation) -> Reason | None:
    if s.agreement != "mostly" or s.prompting == "good":
        return None
    text = (
        "Nobody can be right more often than people agree on what is right: where two of them would answer "
        "differently, write down a rule before you collect more."
    )
    return Reason("labels-cap-the-score", text, {"agreement": s.agreement})


def _changing(s: Situation) -> Reason | None:
    if not s.changes or s.prompting == "good":
        return None
    text = "Answers that change within months need training again each time; keep what changes in documents."
    return Reason("answers-change", text, {})


def _few(s: Situation) -> Reason | None:
    seen = detectable_difference(TEST_SHARE * s.examples, ASSUMED_DISCORDANCE)
    if s.examples >= COMFORTABLE_EXAMPLES or s.prompting == "good":
        return None
    shows = "no gain at all" if seen is None else f"only a gain of {100 * seen:.0f} points or more"
    text = (
        f"A quarter of the examples is kept to test with: a quarter of {s.examples} shows {shows}. "
        f"To see a gain of 15 points takes about {COMFORTABLE_EXAMPLES} examples."
    )
    return Reason("few-examples", text, {"examples": s.examples, "detectable_difference": seen})
