"""From scored answers to measurements."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from tunewise.decide.compare import compare, price_calls, saved_per_call, summarise
from tunewise.decide.measurements import Findings, TrainedArm
from tunewise.decide.verdict import decide
from tunewise.evaluate.runner import ScoredRun
from tunewise.records import TRAINS, Score, TokenPrice, Verdict

FINDINGS = Findings(
    primary_metric="exact_match",
    unique_examples=400,
    floors=("majority",),
    best_untrained="few-shot",
    best_closed_book="few-shot",
    seed=3,
    currency="EUR",
    hourly_price=3600.0,
    hourly_price_is_assumed=False,
    arms=(TrainedArm("fine-tuned", "ft:toy", 7.0),),
)


def score(approach: str, example: int, right: bool, knows: float | None = None, group: str = "") -> Score:
    metrics = {"exact_match": float(right), "form": None, "knowing": knows}
    name = f"e{example}"
    return Score(approach, name, group or name, "answered", "a", "a", metrics, 20, 4, 5.0)


def scored(approach: str, right: int, n: int = 100, knows: float | None = None) -> ScoredRun:
    """The first `right` of `n` answers are right."""
    return ScoredRun(tuple(score(approach, i, i < right, knows) for i in range(n)), seconds=n / 10)


RUNS = {
    "majority": scored("majority", 5),
    "zero-shot": scored("zero-shot", 10, knows=0.0),
    "few-shot": scored("few-shot", 30, knows=1.0),
    "from-scratch": scored("from-scratch", 50),
    "fine-tuned": scored("fine-tuned", 80, knows=1.0),
}


def test_a_metric_that_is_undefined_everywhere_says_nothing() -> None:
    scores = tuple(replace(score, metrics={"exact_match": None}) for score in RUNS["few-shot"].scores)
    row = summarise("few-shot", ScoredRun(scores, 1.0), "exact_match", 0.1, 0)
    assert (row.score, row.low, row.high) == (0.0, 0.0, 1.0)


def test_examples_that_have_no_score_are_not_compared_on() -> None:
    def defined_on(run: ScoredRun, n: int) -> ScoredRun:
        return replace(run, scores=(*run.scores[:n], *(replace(s, metrics={}) for s in run.scores[n:])))

    m = compare({**RUNS, "fine-tuned": defined_on(RUNS["fine-tuned"], 8)}, FINDINGS)
    assert (m.test_examples, m.compared_examples, m.without_score) == (100, 8, frozenset())
    assert decide(m).reasons[0].code == "too-few-examples"
    nothing = compare({**RUNS, "few-shot": defined_on(RUNS["few-shot"], 0)}, FINDINGS)
    assert (nothing.compared_examples, nothing.without_score) == (0, {"few-shot"})
    assert "the best prompt (few-shot) no score" in decide(nothing).headline


def test_the_commonest_expected_answer_is_counted_from_the_scores() -> None:
    ham = tuple(
        replace(s, expected="ham" if i < 80 else f"{i}") for i, s in enumerate(RUNS["majority"].scores)
    )
    assert (
        compare({**RUNS, "majority": replace(RUNS["majority"], scores=ham)}, FINDINGS).commonest_answer == 0.8
    )


def test_measurements_are_findings_and_what_the_answers_show() -> None:
    m = compare(RUNS, FINDINGS)
    assert (m.test_examples, m.test_groups, m.seed, m.currency) == (100, 100, 3, "EUR")
    assert [(row.name, row.score) for row in m.approaches] == [
        ("majority", 0.05), ("zero-shot", 0.10), ("few-shot", 0.30), ("from-scratch", 0.50),
        ("fine-tuned", 0.80),
    ]  # fmt: skip
    assert m.approaches[0].cost_per_1000_calls == pytest.approx(100.0)
    assert m.gains["fine-tuned"]["few-shot"].estimate == pytest.approx(0.5)
    assert m.gains["few-shot"]["majority"].estimate == pytest.approx(0.25)


def test_what_may_be_recommended_is_compared_with_everything_but_controls_the_rest_with_floors() -> None:
    m = compare(RUNS, FINDINGS)
    assert m.gains.keys() == {"fine-tuned", "few-shot", "zero-shot"}
    assert m.gains["zero-shot"].keys() == {"majority"}
    assert m.gains["fine-tuned"].keys() == {"majority", "zero-shot", "few-shot"}


def test_documents_are_compared_too() -> None:
    m = compare({**RUNS, "rag": scored("rag", 40, knows=1.0)}, FINDINGS)
    assert {"majority", "zero-shot", "few-shot"} <= m.gains["rag"].keys()
    assert m.knowing_gains["rag"]["zero-shot"].gain.estimate == 1.0


def test_knowledge_is_compared_on_the_examples_where_it_is_defined_for_both() -> None:
    some = tuple(score("few-shot", i, i < 30, 1.0 if i < 40 else None) for i in range(100))
    m = compare({**RUNS, "few-shot": ScoredRun(some, 10.0)}, FINDINGS)
    assert m.knowing == {"zero-shot": 0.0, "few-shot": 1.0, "fine-tuned": 1.0}
    assert m.knowing_gains["fine-tuned"]["few-shot"].examples == 40
    assert m.knowing_gains["fine-tuned"]["zero-shot"].examples == 100
    assert "majority" not in m.knowing_gains["fine-tuned"]


def test_a_metric_that_no_answer_has_is_not_measured() -> None:
    plain = {name: scored(name, 50) for name in RUNS}
    m = compare(plain, FINDINGS)
    assert (m.knowing, m.knowing_gains, m.form_scores) == ({}, {}, {})


@pytest.mark.parametrize(("wins", "recommendation"), [(5, "inconclusive"), (6, "fine-tune")])
def test_few_wins_that_chance_would_give_as_well_win_nothing(wins: int, recommendation: str) -> None:
    # Five heads in a row come once in 32 throws, though the interval is above zero already.
    runs = {**RUNS, "fine-tuned": scored("fine-tuned", 30 + wins)}
    m = compare(runs, FINDINGS)
    assert m.gains["fine-tuned"]["few-shot"].low > 0
    assert decide(m).recommendation == recommendation


def test_the_order_of_rows_makes_no_difference() -> None:
    def shuffled(run: ScoredRun) -> ScoredRun:
        return replace(run, scores=tuple(random.Random(1).sample(run.scores, len(run.scores))))

    assert decide(compare({n: shuffled(run) for n, run in RUNS.items()}, FINDINGS)) == decide(
        compare(RUNS, FINDINGS)
    )


def test_copies_of_examples_add_no_certainty() -> None:
    # Right on 34 where few-shot is on 30, but only 15 of them are the same.
    rows = tuple(score("fine-tuned", i, 15 <= i < 49) for i in range(100))
    close = {**RUNS, "fine-tuned": ScoredRun(rows, 10.0)}
    copies = {
        name: replace(
            run,
            scores=tuple(
                replace(one, example_id=f"{one.example_id}-{copy}") for one in run.scores for copy in range(5)
            ),
        )
        for name, run in close.items()
    }
    once, often = compare(close, FINDINGS), compare(copies, FINDINGS)
    assert decide(once).recommendation not in TRAINS
    assert decide(often).recommendation not in TRAINS
    assert often.gains["fine-tuned"]["few-shot"].low <= once.gains["fine-tuned"]["few-shot"].low + 1e-3


def run(input_tokens: int, latency_ms: float, seconds: float) -> ScoredRun:
    scores = tuple(
        Score("rival", str(i), str(i), "answered", "a", "a", {"exact_match": 1.0}, input_tokens + i, 1,
              latency_ms)
        for i in range(2)
    )  # fmt: skip
    return ScoredRun(scores, seconds)


CALLS = {"few-shot": run(100, 300.0, 8.0), "fine-tuned": run(20, 50.0, 2.0), "majority": run(0, 0.0, 0.0)}


def test_what_a_tuned_call_saves_is_the_difference_to_the_best_prompt() -> None:
    saved = saved_per_call(CALLS, "few-shot", 3600.0, {})
    assert saved is not None
    assert saved.rival == "few-shot"
    assert saved.input_tokens == 80
    assert saved.milliseconds == 250
    assert saved.money == pytest.approx(3.0)


def test_nothing_is_said_of_a_comparison_that_was_not_made() -> None:
    assert saved_per_call(CALLS, None, 1.0, {}) is None
    assert saved_per_call({"few-shot": CALLS["few-shot"]}, "few-shot", 1.0, {}) is None


def test_calls_to_another_machine_cost_their_tokens_and_not_the_time_they_took() -> None:
    # 100 and 101 tokens are read, 1 is written each time, in 8 seconds.
    asked = CALLS["few-shot"]
    assert price_calls("few-shot", asked, 3600.0, None) == pytest.approx(4000.0)
    price = TokenPrice(input=2.0, output=10.0)
    assert price_calls("remote:x", asked, 3600.0, price) == pytest.approx((100.5 * 2 + 10) / 1000)
    assert price_calls("remote:x", asked, 3600.0, TokenPrice(0.0, 0.0)) == 0.0


def test_failed_calls_make_no_other_machine_cheaper() -> None:
    asked = CALLS["few-shot"]
    failed = tuple(replace(s, status="failed", input_tokens=0, output_tokens=0) for s in asked.scores)
    half, price = replace(asked, scores=(*asked.scores, *failed)), TokenPrice(2.0, 10.0)
    assert price_calls("remote:x", half, 1.0, price) == price_calls("remote:x", asked, 1.0, price)
    whole, part = (summarise("remote:x", run, "exact_match", 1.0, 0, price) for run in (asked, half))
    assert part.input_tokens_per_call == whole.input_tokens_per_call
    assert part.output_tokens_per_call == whole.output_tokens_per_call
    saved = saved_per_call({**CALLS, "few-shot": half}, "few-shot", 1.0, {})
    assert saved is not None
    assert saved.input_tokens == 80
    assert price_calls("remote:x", replace(asked, scores=failed), 1.0, price) is None


def test_what_calls_cost_is_not_known_without_prices_or_counts_of_tokens() -> None:
    assert price_calls("remote:x", CALLS["few-shot"], 3600.0, None) is None
    uncounted = tuple(replace(s, input_tokens=0, output_tokens=0) for s in CALLS["few-shot"].scores)
    assert price_calls("remote:x", ScoredRun(uncounted, 8.0), 3600.0, TokenPrice(2.0, 10.0)) is None


def test_a_saving_over_another_machine_is_that_of_tokens_or_not_known() -> None:
    calls = {"remote:x": CALLS["few-shot"], "fine-tuned": CALLS["fine-tuned"]}
    priced = saved_per_call(calls, "remote:x", 3.6, {"remote:x": TokenPrice(20_000.0, 0.0)})
    assert priced is not None
    assert priced.money == pytest.approx(100.5 * 0.02 - 0.001)
    unknown = saved_per_call(calls, "remote:x", 3.6, {})
    assert unknown is not None
    assert (unknown.money, unknown.input_tokens) == (None, 80)


REMOTE = {**RUNS, "remote:x": scored("remote:x", 79)}
WITH_REMOTE = replace(
    FINDINGS, best_untrained="remote:x", best_closed_book="remote:x", hourly_price=0.36, calls_per_month=1e6
)


def test_a_model_that_is_only_as_good_wins_by_its_price_if_that_of_the_other_is_known() -> None:
    dear = replace(WITH_REMOTE, token_prices={"remote:x": TokenPrice(50.0, 50.0)})
    assert decide(compare(REMOTE, dear)).break_even_calls == 1
    unknown = decide(compare(REMOTE, WITH_REMOTE))
    assert unknown.recommendation not in TRAINS
    assert unknown.break_even_calls is None
    assert next(row for row in unknown.approaches if row.name == "remote:x").cost_per_1000_calls is None
    assert "calls to another machine cost" in str(unknown.reasons[0].evidence["not_measured"])


def test_prompting_another_model_is_recommended_by_its_name() -> None:
    better = {**RUNS, "remote:x": scored("remote:x", 90)}
    verdict = decide(compare(better, WITH_REMOTE))
    assert verdict.headline.startswith("Keep prompting, with remote:x: ")
    assert verdict.best_without_training == "remote:x"
    assert decide(compare(RUNS, FINDINGS)).headline.startswith("Fine-tune: ")


def labelled(approach: str, accuracy: float, rare_accuracy: float) -> ScoredRun:
    """Nine in ten are ham, right this often; the others are spam."""
    dice = random.Random(approach)
    scores = []
    for example in range(300):
        expected = "spam" if example % 10 == 0 else "ham"
        right = dice.random() < (rare_accuracy if expected == "spam" else accuracy)
        answer = expected if right else {"spam": "ham", "ham": "spam"}[expected]
        metrics = {"exact_match": float(right), "macro_f1": float(right)}
        name = f"e{example}"
        scores.append(Score(approach, name, name, "answered", answer, expected, metrics, 20, 4, 5.0))
    return ScoredRun(tuple(scores), seconds=30.0)


def test_macro_f1_decides_by_the_answers_together() -> None:
    runs = {
        "majority": labelled("majority", 1.0, 0.0),
        "few-shot": labelled("few-shot", 0.9, 0.2),
        "fine-tuned": labelled("fine-tuned", 0.98, 0.9),
    }
    findings = replace(FINDINGS, primary_metric="macro_f1")
    m = compare(runs, findings)
    assert {row.name: row.score for row in m.approaches} == {
        name: pytest.approx(run.score("macro_f1")) for name, run in runs.items()
    }
    for rival in ("majority", "few-shot"):
        gain = m.gains["fine-tuned"][rival]
        expected = runs["fine-tuned"].score("macro_f1") - runs[rival].score("macro_f1")
        assert gain.estimate == pytest.approx(expected)
        assert 0 < gain.low < gain.estimate < gain.high
    assert decide(m).recommendation == "fine-tune"
    assert compare(runs, findings) == m


def written(
    approach: str, forms: tuple[str, ...], right: float, metrics: Callable[[bool], Metrics]
) -> ScoredRun:
    """Labels, right in this share of answers and written in these forms by turns."""
    dice, scores = random.Random(approach), []
    for example in range(200):
        expected, other = random.Random(example).sample(["billing issue", "login issue"], 2)
        said = expected if dice.random() < right else other
        answer, name = forms[example % len(forms)].format(said, said.capitalize()), f"e{example}"
        scores.append(
            Score(approach, name, name, "answered", answer, expected, metrics(answer == expected), 20, 4, 5.0)
        )
    return ScoredRun(tuple(scores), seconds=20.0)


Metrics = dict[str, float | None]
TALKATIVE = ("{1}.", "Sure!\n```\n{0}\n```", "Label: {0}", "{0}")


@pytest.mark.parametrize("metric", ["exact_match", "macro_f1"])
def test_a_gain_in_form_alone_is_told_from_the_answers(metric: str) -> None:
    def measure(prompt: float) -> Verdict:
        def metrics(right: bool) -> Metrics:
            return {"exact_match": float(right), metric: float(right)}

        runs = {
            "majority": written("majority", ("{0}",), 0.5, metrics),
            "few-shot": written("few-shot", TALKATIVE, prompt, metrics),
            "fine-tuned": written("fine-tuned", ("{0}",), 0.93, metrics),
        }
        return decide(compare(runs, replace(FINDINGS, primary_metric=metric)))

    same, better = measure(prompt=0.93), measure(prompt=0.6)
    assert same.recommendation == better.recommendation == "fine-tune"
    assert "form-only" in [reason.code for reason in same.reasons]
    assert "form-only" not in [reason.code for reason in better.reasons]
