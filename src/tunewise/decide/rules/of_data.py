"""Rules that send their reader back to the data: too little of it, wrong, or without a relation to learn."""

from __future__ import annotations

from tunewise.decide.criteria import (
    DOMINANT_SHARE,
    EXAMPLES_PER_TEST_EXAMPLE,
    GOOD_ENOUGH_MARGIN,
    LOW_CEILING,
    MAX_AUC_OF_STRANGERS,
    MIN_MISPAIRED,
    MIN_OTHER_ANSWERS,
    MIN_TEST_EXAMPLES,
    MIN_TEST_GROUPS,
    MIN_UNIQUE_EXAMPLES,
    SMALLEST_GAIN,
    are_facts,
    beats_floors,
    best_floor,
    has_documents,
    too_few,
)
from tunewise.decide.measurements import Measurements
from tunewise.decide.rules.base import MEASURED_GAIN, Ruling, gain_clause, gain_evidence, rule
from tunewise.decide.wording import name_in_words, whole_percent, whole_points
from tunewise.records import ApproachResult

_NOTHING_BEATS = "nothing is surely better than guessing"


def _guessing(m: Measurements) -> ApproachResult | None:
    """The best floor, if something was measured and nothing of it is surely better than the floors."""
    names = [row.name for row in m.approaches if row.name not in m.floors]
    return best_floor(m) if names and not any(beats_floors(m, name) for name in names) else None


@rule(
    "answers-mispaired",
    "fix-the-data",
    when="answers do not fit their own prompts better than those of other rows, at least "
    f"{whole_percent(MIN_MISPAIRED)} of them fit another row much better, and {_NOTHING_BEATS}",
    advice="Look for a shifted or separately sorted column, and pair each answer with its own prompt again.",
)
def answers_mispaired(m: Measurements) -> Ruling | None:
    """Answers that belong to other rows, which nobody can learn or foretell.

    Facts look alike where they are asked for in both directions; but what is answered right is not mispaired.
    """
    seen = m.fact_or_skill
    if seen is None or seen.own_auc > MAX_AUC_OF_STRANGERS or seen.mismatch < MIN_MISPAIRED:
        return None
    if _guessing(m) is None:
        return None
    share = whole_percent(seen.mismatch)
    return Ruling(
        f"Answers seem to belong to other rows: {share} of them fit another row's prompt much better than "
        "their own.",
        {"share_of_answers_that_fit_another_prompt": seen.mismatch, "own_prompt_auc": seen.own_auc},
        f", but {share} of the answers seem to belong to other rows",
    )


@rule(
    "no-score",
    "inconclusive",
    when="the metric has a score for the tuned model and the best untrained approach on no test example",
    advice="Use another metric (`--metric`), or mend your own.",
)
def no_score(m: Measurements) -> Ruling | None:
    """Nothing to compare, however many examples there are."""
    if m.compared_examples:
        return None
    return Ruling(
        f"No test example has a score for both sides: {m.primary_metric} says nothing of such answers.",
        _sizes(m),
        ", as no test example has a score for both: use another metric",
    )


_TOO_FEW = (
    f"there are fewer than {MIN_UNIQUE_EXAMPLES} different examples, {MIN_TEST_EXAMPLES} test examples that "
    f"have a score, or {MIN_TEST_GROUPS} groups of test examples"
)


def _sizes(m: Measurements) -> dict[str, int]:
    return {
        "unique_examples": m.unique_examples,
        "test_examples": m.test_examples,
        "test_groups": m.test_groups,
        "compared_examples": m.compared_examples,
    }


@rule(
    "good-on-few-examples",
    "keep-prompting",
    "use-rag",
    when=f"{_TOO_FEW}, but the best untrained approach beats guessing and surely scores within "
    f"{whole_points(GOOD_ENOUGH_MARGIN)} of the best possible",
    advice="Use that approach. Measure again when you have more examples.",
)
def good_on_few_examples(m: Measurements) -> Ruling | None:
    """Too little to compare on, but enough to see that there is little to be gained."""
    rival = m.rival
    if rival is None or not too_few(m) or not beats_floors(m, rival.name):
        return None
    if rival.low < m.ceiling - GOOD_ENOUGH_MARGIN:
        return None
    return Ruling(
        f"Even on few examples {name_in_words(m, rival.name)} surely scores at least "
        f"{whole_percent(rival.low)}.",
        {**_sizes(m), "score": rival.score, "low": rival.low, "best_possible": m.ceiling},
        ", which is already good",
        "use-rag" if has_documents(rival.name) else "keep-prompting",
    )


@rule(
    "too-few-examples",
    "collect-more-data",
    when=_TOO_FEW,
    advice="Bring as many more examples as it says; new ones, not more versions of the same. Where the "
    "metric has no score for most of them, another one may do.",
)
def too_few_examples(m: Measurements) -> Ruling | None:
    """Too little to compare on."""
    if not too_few(m):
        return None
    wanted, more = _what_is_lacking(m)
    scored = (
        ""
        if m.compared_examples == m.test_examples
        else f" ({m.primary_metric} gives a score to {m.compared_examples})"
    )
    return Ruling(
        f"{m.unique_examples} different examples, {m.test_examples} of them for testing{scored} in "
        f"{m.test_groups} groups, cannot settle the question: bring about {wanted}.",
        {**_sizes(m), **more},
        f", on too few examples to tell: bring about {wanted}",
    )


def _what_is_lacking(m: Measurements) -> tuple[str, dict[str, int]]:
    """In words, and in numbers. Groups are named where some examples share one: more of those do not help."""
    for_test = max(MIN_TEST_EXAMPLES - m.compared_examples, 0)
    for_groups = max(MIN_TEST_GROUPS - m.test_groups, 0) if m.test_groups < m.test_examples else 0
    in_all = max(MIN_UNIQUE_EXAMPLES - m.unique_examples, 0)
    tests, groups = _examples_for(m, for_test), _examples_for(m, for_groups)
    if not m.test_is_given:
        more = max(in_all, tests)
        wanted = _with_groups(more, "example", groups)
    else:
        more, others = max(in_all, tests), max(in_all - tests, 0)
        parts = [_with_groups(tests, "test example", groups)] if tests or groups else []
        parts += [f"{_count(others, 'more example')} to train on"] if others else []
        wanted = " and ".join(parts)
    return wanted, {"more_examples": more, "more_groups": groups}


def _with_groups(examples: int, kind: str, groups: int) -> str:
    if not examples:
        return f"{_count(groups, 'more group')} of {kind}s"
    return _count(examples, f"more {kind}") + (
        f", in {_count(groups, 'new group')} or more" if groups else ""
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _examples_for(m: Measurements, more_test_examples: int) -> int:
    """How many more examples have to come for so many of them to be test examples that have a score.

    As many for each as there are now: a test set that is dealt is a quarter of a small file, and less of a
    large one.
    """
    scored = max(m.compared_examples, 1)
    if m.test_is_given:
        return more_test_examples * max(m.test_examples // scored, 1)
    return more_test_examples * max(m.unique_examples // scored, EXAMPLES_PER_TEST_EXAMPLE)


@rule(
    "rare-answers-too-few",
    "collect-more-data",
    when=f"{_NOTHING_BEATS}, {whole_percent(DOMINANT_SHARE)} of the test examples or more have the same "
    f"answer, and fewer than {MIN_OTHER_ANSWERS} test examples have another",
    advice="Bring more examples of the rare answers: they are what there is to learn.",
)
def rare_answers_too_few(m: Measurements) -> Ruling | None:
    """One answer is nearly always right, so it takes rare ones to see whether anything was learned."""
    if _guessing(m) is None or m.commonest_answer < DOMINANT_SHARE:
        return None
    others = round(m.test_examples * (1 - m.commonest_answer))
    if others >= MIN_OTHER_ANSWERS:
        return None
    wanted = _examples_for(m, MIN_OTHER_ANSWERS - others)
    share, more = whole_percent(m.commonest_answer), _count(wanted, "more example")
    return Ruling(
        f"One answer is right for {share} of the test examples, and only {others} of {m.test_examples} test "
        f"examples have another: bring about {more} of rare answers.",
        {"most_common_answer": m.commonest_answer, "other_test_examples": others, "more_examples": wanted},
        f": bring about {more} of the rare answers",
    )


@rule(
    "no-relation-found",
    "fix-the-data",
    when=f"{_NOTHING_BEATS}, and equal prompts have different answers so often that nobody could score more "
    f"than {whole_percent(LOW_CEILING)}, or the most similar examples foretell a label better than the most "
    f"common label does by less than {whole_points(SMALLEST_GAIN)}",
    advice="Read some twenty rows: could you give the answer from the prompt alone? Add what the prompts "
    "lack, or correct the answers.",
)
def no_relation_found(m: Measurements) -> Ruling | None:
    """Prompts do not decide the answers."""
    contradicts = m.ceiling <= LOW_CEILING
    unrelated = m.neighbours_gain is not None and m.neighbours_gain < SMALLEST_GAIN
    if _guessing(m) is None or not (contradicts or unrelated):
        return None
    what = (
        f"equal prompts have such different answers that nobody could score above {whole_percent(m.ceiling)}"
        if contradicts
        else "examples with similar prompts have hardly more similar answers than any two"
    )
    return Ruling(
        f"Nothing in the prompts seems to decide the answers: {what}.",
        {"best_possible": m.ceiling, "gain_of_similar_examples_over_guessing": m.neighbours_gain},
        ": nothing in the prompts seems to decide the answers",
    )


@rule(
    "still-learning",
    "collect-more-data",
    when=f"{_NOTHING_BEATS}, but twice the examples would in all likelihood bring "
    f"{whole_points(SMALLEST_GAIN)} or more",
    advice="Bring as many examples again.",
)
def still_learning(m: Measurements) -> Ruling | None:
    """The score is no good yet, but still rising."""
    curve = m.learning_curve
    if _guessing(m) is None or curve is None or curve.low < SMALLEST_GAIN:
        return None
    return Ruling(
        "Nothing beats guessing yet, but the score still rises with the number of examples: "
        f"twice as many would bring about {whole_points(curve.median)} more.",
        {"gain_with_twice_the_examples": [curve.low, curve.median, curve.high]},
        ": not enough yet, but twice the examples would bring more",
    )


@rule(
    "nothing-beats-guessing",
    "inconclusive",
    when=_NOTHING_BEATS,
    advice="Try a larger base model, and read some rows: could you give the answer from the prompt alone?",
)
def nothing_beats_guessing(m: Measurements) -> Ruling | None:
    """Neither prompting nor training is surely better than rivals that need no model."""
    floor = _guessing(m)
    if floor is None:
        return None
    return Ruling(
        f"Nothing is surely better than {floor.name}, which needs no model: try a larger base model.",
        {"floor": floor.name, "score": floor.score},
        ": try a larger base model",
    )


@rule(
    "more-data-would-help",
    "collect-more-data",
    when="training has not won, but with twice the examples it would in all likelihood gain "
    f"{whole_points(SMALLEST_GAIN)} or more, and the answers are no facts",
    advice="Bring as many examples again.",
)
def more_data_would_help(m: Measurements) -> Ruling | None:
    """A gain that is not there yet, on a curve that still rises. More examples teach no facts."""
    gain, curve = m.gain_over_rival, m.learning_curve
    if gain is None or curve is None or m.main_arm is None or are_facts(m):
        return None
    if gain.estimate + curve.low < SMALLEST_GAIN:
        return None
    more = whole_points(curve.median)
    return Ruling(
        f"Training has not won yet, but twice the examples would bring about {more} more "
        f"(now {gain_clause(m, m.main_arm.name)}).",
        {
            "gain_with_twice_the_examples": [curve.low, curve.median, curve.high],
            **gain_evidence(m, m.main_arm.name),
        },
        f": twice the examples would bring the tuned model about {more} more",
        covers=frozenset({MEASURED_GAIN}),
    )


@rule(
    "labels-cap-the-score",
    "fix-the-data",
    when="equal prompts have different answers so often that nobody could score more than "
    f"{whole_percent(LOW_CEILING)}, and the best approach is within {whole_points(SMALLEST_GAIN)} of that",
    advice="Agree on one answer for each kind of prompt and correct the rest; `tunewise review` shows them.",
)
def labels_cap_the_score(m: Measurements) -> Ruling | None:
    """The best approach is as good as answers that contradict each other let anybody be."""
    rows = (row for row in (m.tuned, m.rival) if row is not None)
    best = max(rows, key=lambda row: row.score, default=None)
    if best is None or m.ceiling > LOW_CEILING or best.score < m.ceiling - SMALLEST_GAIN:
        return None
    cap = whole_percent(m.ceiling)
    return Ruling(
        f"Your answers contradict each other so often that nobody could score above {cap}, and "
        f"{name_in_words(m, best.name)} scores {whole_percent(best.score)} already.",
        {"best_possible": m.ceiling, "score": best.score},
        f": your answers contradict each other, so that {cap} is the most that anybody could score",
    )
