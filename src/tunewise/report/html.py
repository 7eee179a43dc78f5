"""The report: one HTML file that answers the question, and lets every number behind the answer be opened.

It loads nothing and runs no script (its own content security policy forbids both): the filter of the examples
is done by the style sheet. The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tunewise.decide.criteria import SMALLEST_GAIN
from tunewise.decide.verdict import RULES, TITLES
from tunewise.evaluate.runner import group_by_approach
from tunewise.records import Recommendation, Score, Verdict
from tunewise.report import charts
from tunewise.report.data_findings import list_data_findings
from tunewise.report.examples import AnswerSheet, compare_examples
from tunewise.report.facts import (
    describe_price,
    list_facts,
    list_losses,
    list_stages,
    list_test_reads,
    look_up,
)
from tunewise.report.knowing import describe_defined, follow_passages, tell_apart
from tunewise.report.pairs import compare_with_each
from tunewise.report.power import find_power
from tunewise.report.prompting import read_prompt_search
from tunewise.report.reasons import SENTENCE_LIMIT, list_not_measured, open_reason
from tunewise.report.reproduction import list_reproduction
from tunewise.report.rivals import KIND_NAMES, Contest, describe, find_contest
from tunewise.report.tables import (
    NAME_LIMIT,
    build_rows,
    has_score,
    list_savings,
    list_secondary_metrics,
    metric_title,
)
from tunewise.report.templates import load_template
from tunewise.report.wording import (
    NOTHING,
    count,
    interval,
    is_number,
    money_spent,
    percent,
    points,
    shorten,
    visible,
)

_BAR_NAME_LIMIT = 22
"""What fits beside the numbers on a phone."""
_EXAMPLES_UNFOLDED = 24

_ADVICE: dict[Recommendation, tuple[str, str]] = {
    # (tone of the page, what it means for somebody who has never fine-tuned anything)
    "fine-tune": (
        "train",
        "Train the model on your examples and use the result. It was tested on examples it had never seen.",
    ),
    "fine-tune-and-rag": (
        "train",
        "Documents bring the facts, training brings the form. Together they did better than either alone.",
    ),
    "keep-prompting": (
        "prompt",
        "Stay with a prompt: it is quicker to change, and training has not earned its place here.",
    ),
    "use-rag": (
        "documents",
        "Look up the right passages for each question and put them into the prompt. No training needed.",
    ),
    "collect-more-data": (
        "data",
        "What there is does not carry a decision yet. The reasons below say what to bring.",
    ),
    "fix-the-data": (
        "data",
        "Something in the examples themselves stands in the way. No prompt and no training gets around that.",
    ),
    "inconclusive": (
        "unsure",
        "The measurements single out no winner. Until they do, stay with the simplest approach that works.",
    ),
}


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """One of the large numbers under the headline."""

    title: str
    value: str
    detail: str
    unit: str = ""


def render_report(
    verdict: Verdict,
    scores: Sequence[Score],
    manifest: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
) -> str:
    """The whole report as one self-contained HTML document.

    `inputs` gives the input text of each example id. Keys that the manifest lacks leave their rows out.
    """
    contest = find_contest(verdict, manifest)
    tone, meaning = _ADVICE[verdict.recommendation]
    sheet = AnswerSheet.collect(verdict, scores, inputs)
    reasons = [open_reason(reason, verdict, contest, sheet) for reason in verdict.reasons]
    losses = list_losses(manifest)
    best_step = look_up(manifest, "training", "best_step")
    best_step = float(best_step) if is_number(best_step) else None
    loss_chart = charts.loss_chart(losses, best_step)
    metrics = list_secondary_metrics(scores, verdict.primary_metric)
    return load_template("report.html.jinja").render(
        verdict=verdict,
        headline=shorten(verdict.headline, SENTENCE_LIMIT),
        label=TITLES[verdict.recommendation],
        tone=tone,
        meaning=meaning,
        next_step=_next_step(verdict),
        key_numbers=_key_numbers(verdict, contest, manifest),
        model=None if verdict.model is None else shorten(verdict.model, 200),
        metric=metric_title(verdict.primary_metric),
        chart=Markup(_bar_chart(verdict, scores)) if verdict.approaches else None,
        kinds=_kinds(verdict),
        reasons=reasons,
        rows=build_rows(verdict, scores),
        tuned_name=None if contest.tuned is None else contest.tuned.name,
        smallest_gain=f"{100 * SMALLEST_GAIN:g}",
        pairs=compare_with_each(verdict, scores, contest, manifest),
        secondary=[metric_title(name) for name in metrics],
        apart=tell_apart(verdict, scores),
        apart_defined=describe_defined(verdict, scores),
        found=follow_passages(contest, sheet, manifest),
        examples_unfolded=_EXAMPLES_UNFOLDED,
        examples=compare_examples(contest, sheet),
        power=find_power(verdict, scores, contest, manifest),
        not_measured=list_not_measured(verdict.reasons),
        prompting=read_prompt_search(look_up(manifest, "prompting")),
        stages=list_stages(manifest, verdict.currency),
        price=describe_price(manifest, verdict.currency),
        savings=list_savings(verdict, contest),
        data_findings=list_data_findings(manifest),
        facts=list_facts(manifest),
        test_reads=list_test_reads(manifest),
        again=list_reproduction(manifest),
        loss_chart=None if loss_chart is None else Markup(loss_chart),
        has_validation=any(point.validation is not None for point in losses),
        has_train=any(point.train is not None for point in losses),
        best_step=best_step,
    )


def _next_step(verdict: Verdict) -> str | None:
    """What the rule that decided advises."""
    decided = next(iter(verdict.reasons), None)
    return next((rule.advice for rule in RULES if decided is not None and rule.code == decided.code), None)


def _key_numbers(verdict: Verdict, contest: Contest, manifest: Mapping[str, Any]) -> list[KeyNumber]:
    numbers = []
    tuned, untrained, gain = contest.tuned, contest.untrained, verdict.gain
    rival = contest.untrained_title
    if tuned is not None:
        detail = f"95% interval {interval(tuned.low, tuned.high)}"
        if untrained is not None:
            detail = (
                f"against {percent(untrained.score)} for the {rival}, {shorten(untrained.name, NAME_LIMIT)}"
            )
        numbers.append(KeyNumber("Tuned model", percent(tuned.score), detail))
    elif untrained is not None:
        spread = (
            f"{shorten(untrained.name, NAME_LIMIT)}, 95% interval {interval(untrained.low, untrained.high)}"
        )
        numbers.append(KeyNumber(rival.capitalize(), percent(untrained.score), spread))
    if gain is not None:
        # The estimate is over the best rival; a floor may have come nearer than that.
        sure = f"95% interval {points(gain.low)} to {points(gain.high)}, the low end over every rival"
        none = "" if gain.low > 0 else ", so perhaps no gain at all"
        numbers.append(KeyNumber("Gain from training", points(gain.estimate), sure + none, "points"))
    if tuned is None:
        floors = [result for result in verdict.approaches if describe(result.name)[0] == "floor"]
        if floors:
            best = max(floors, key=lambda result: result.score)
            detail = f"{shorten(best.name, NAME_LIMIT)}: what needs no model at all"
            numbers.append(KeyNumber("Best floor", percent(best.score), detail))
    numbers.append(
        KeyNumber("Test examples", count(verdict.test_examples), "sealed before anything was tried")
    )
    if tuned is None:
        numbers.append(KeyNumber("Cost of training", NOTHING, "nothing was trained"))
    else:
        cost = money_spent(verdict.training_cost, verdict.currency)
        assumed = bool(look_up(manifest, "hourly_price_is_assumed"))
        detail = "at an assumed price of machine time" if assumed else "once; each call is counted apart"
        numbers.append(KeyNumber("Cost of training", cost, detail))
    return numbers


def _bar_chart(verdict: Verdict, scores: Sequence[Score]) -> str:
    bars = []
    by_approach = group_by_approach(scores)
    for result in verdict.approaches:
        if not has_score(by_approach.get(result.name, []), verdict.primary_metric):
            continue
        kind, note = describe(result.name)
        is_best = result.name == verdict.best_without_training
        name = visible(result.name)
        name = name if len(name) <= _BAR_NAME_LIMIT else f"{name[: _BAR_NAME_LIMIT - 1]}…"
        numbers = result.score, result.low, result.high
        bars.append(charts.Bar(name, note, kind, *numbers, emphasis=is_best or kind == "trained"))
    return charts.bar_chart(bars, f"{metric_title(verdict.primary_metric)}, by approach")


def _kinds(verdict: Verdict) -> list[tuple[str, str]]:
    """The kinds of approach in the chart, for its legend."""
    present = {describe(result.name)[0] for result in verdict.approaches}
    return [(kind, name) for kind, name in KIND_NAMES.items() if kind in present]
