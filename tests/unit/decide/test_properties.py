"""What the order of the rules promises, whatever was measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measured_runs import BROKEN, FACTS, PARITY, SKILL, gain, gains_among, measured, result, with_arm
from tunewise.decide.criteria import beats_floors, wins
from tunewise.decide.measurements import (
    CurveForecast,
    Disagreement,
    Forgetting,
    KnowingGain,
    Measurements,
    Retrieval,
)
from tunewise.decide.verdict import MAX_REASONS, RULES, decide
from tunewise.decide.wording import whole_percent
from tunewise.evaluate.stats import PairedGain
from tunewise.records import TRAINS, Estimate

SETTINGS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
SHARES = st.floats(0, 1)
NEAR = st.floats(-0.1, 0.1)
HALVES = st.sampled_from((0.001, 0.01, 0.02, 0.03, 0.06, 0.2))
COSTS = st.sampled_from((0.01, 0.05, 0.08, 0.2))
FORGETTINGS = st.builds(
    Forgetting, SHARES, st.just(0.1), st.builds(lambda x: Estimate(-x, -x - 0.04, -x + 0.04), SHARES), SHARES
)


@st.composite
def runs(draw: st.DrawFn) -> Measurements:
    """Any run with a tuned model and prompts; documents and all other measurements may be there or not.

    Half of them are close, because most rules are about what is nearly equal.
    """
    centre = draw(st.floats(0.1, 0.9))
    share = draw(st.sampled_from((SHARES, NEAR.map(lambda near: centre + near))))
    rag = draw(st.none() | share)
    both = None if rag is None else draw(st.none() | share)
    m = measured(
        tuned=draw(share),
        prompt=draw(share),
        floor=draw(share | st.just(0.0)),
        half=draw(HALVES),
        n=draw(st.sampled_from((20, 100, 400))),
        rag=rag,
        both=both,
        fact_or_skill=draw(st.sampled_from((None, SKILL, FACTS, replace(SKILL, own_auc=0.5, mismatch=0.4)))),
        retrieval=draw(
            st.sampled_from((None, Retrieval(0.9, 0.3), Retrieval(0.4, 0.1), Retrieval(0.3, 0.3)))
        ),
        disagreement=draw(st.none() | st.builds(Disagreement, st.floats(0, 0.5), st.just(30))),
        neighbours_gain=draw(st.none() | NEAR),
        learning_curve=draw(st.none() | NEAR.map(lambda x: CurveForecast(x - 0.02, x, x + 0.02))),
        general_use=draw(st.booleans()),
        calls_per_month=draw(st.none() | st.floats(1, 1e6)),
    )
    known = draw(st.none() | st.fixed_dictionaries({row.name: NEAR for row in m.approaches[1:]}))
    knowing = gains_among(known or {}, draw(HALVES))
    rows = tuple(
        replace(row, cost_per_1000_calls=draw(COSTS), failed=draw(st.sampled_from((0, 0, 0, 9))))
        for row in m.approaches
    )
    m = replace(
        m,
        approaches=rows,
        knowing={name: 0.5 + share for name, share in (known or {}).items()},
        knowing_gains={
            name: {rival: KnowingGain(paired, 100) for rival, paired in gains.items()}
            for name, gains in knowing.items()
        },
    )
    parity = draw(st.sampled_from((None, PARITY, PARITY, BROKEN)))
    return with_arm(m, forgetting=draw(st.none() | FORGETTINGS), parity=parity)


def winning_runs() -> st.SearchStrategy[Measurements]:
    """Runs on which training wins, most of them soundly."""
    return st.builds(
        measured,
        tuned=st.floats(0.5, 1),
        prompt=st.floats(0, 0.6),
        floor=st.floats(0, 0.4),
        half=st.floats(0.001, 0.1),
        rag=st.none() | st.floats(0, 0.6),
        calls_per_month=st.none() | st.floats(100, 1e6),
    )


ANY_RUN = runs() | winning_runs()


def trains(m: Measurements) -> bool:
    return decide(m).recommendation in TRAINS


def with_scores(m: Measurements, **changed: float) -> Measurements:
    """The same run with other scores, and gains that differ by as much; `_` in names stands for `-`."""
    shifts = {
        name: changed.get(name.replace("-", "_"), row.score) - row.score
        for row in m.approaches
        for name in [row.name]
    }

    def shifted(gain: PairedGain, by: float) -> PairedGain:
        return replace(gain, estimate=gain.estimate + by, low=gain.low + by, high=gain.high + by)

    return replace(
        m,
        approaches=tuple(
            replace(
                row,
                score=row.score + shifts[row.name],
                low=row.low + shifts[row.name],
                high=row.high + shifts[row.name],
            )
            for row in m.approaches
        ),
        gains={
            name: {
                rival: shifted(gain, shifts[name] - shifts[rival]) if shifts[name] != shifts[rival] else gain
                for rival, gain in gains.items()
            }
            for name, gains in m.gains.items()
        },
    )


@SETTINGS
@given(ANY_RUN)
def test_every_run_has_one_verdict_with_absolute_scores_and_up_to_three_reasons(m: Measurements) -> None:
    verdict = decide(m)
    assert 1 <= len(verdict.reasons) <= MAX_REASONS
    assert len({reason.code for reason in verdict.reasons}) == len(verdict.reasons)
    assert m.tuned is not None
    assert m.rival is not None
    for row in (m.tuned, m.rival):
        if verdict.recommendation not in ("use-rag", "fine-tune-and-rag"):
            assert f"{whole_percent(row.score)}" in verdict.headline
    assert "%" in verdict.headline
    assert verdict.headline.endswith(".")
    json.dumps(asdict(verdict), allow_nan=False)
    rule = next(rule for rule in RULES if rule.code == verdict.reasons[0].code)
    assert verdict.recommendation in rule.recommendations


@SETTINGS
@given(ANY_RUN)
def test_only_what_is_recommended_and_beats_guessing_is_deployed(m: Measurements) -> None:
    verdict = decide(m)
    assert verdict.deployed <= (verdict.recommendation in TRAINS)
    arm = next((arm for arm in m.arms if arm.model == verdict.model), None)
    assert arm is not None
    if verdict.deployed:
        assert beats_floors(m, arm.name)
        assert wins(m, arm) or m.calls_per_month is not None


@SETTINGS
@given(ANY_RUN)
def test_no_headline_calls_what_guessing_scores_a_success(m: Measurements) -> None:
    verdict = decide(m)
    if not beats_floors(m, m.best_untrained) and verdict.recommendation == "keep-prompting":
        assert "guessing (majority)" in verdict.headline
        assert verdict.reasons[0].code not in ("prompting-already-good", "good-on-few-examples")


@SETTINGS
@given(winning_runs(), st.floats(0, 0.5))
def test_more_gain_by_training_never_leaves_fine_tune(m: Measurements, more: float) -> None:
    if decide(m).recommendation != "fine-tune":
        return
    assert m.tuned is not None
    better = with_scores(m, fine_tuned=m.tuned.score + more)
    assert decide(better).recommendation == "fine-tune"


@SETTINGS
@given(ANY_RUN, st.fixed_dictionaries({name: st.floats(0, 0.2) for name in ("few_shot", "rag", "majority")}))
def test_better_prompting_and_higher_floors_never_lead_to_training(
    m: Measurements, more: dict[str, float]
) -> None:
    if trains(m):
        return
    before = {row.name.replace("-", "_"): row.score for row in m.approaches}
    better = {name: before[name] + more[name] for name in more if name in before}
    assert not trains(with_scores(m, **better))


@SETTINGS
@given(ANY_RUN, FORGETTINGS)
def test_worse_forgetting_never_leads_to_training(m: Measurements, worse: Forgetting) -> None:
    forgot = with_arm(m, forgetting=worse)
    assert trains(with_arm(m, forgetting=None)) >= trains(forgot)


@SETTINGS
@given(ANY_RUN, st.floats(1, 1e6), st.floats(0, 1e6))
def test_more_calls_never_leave_training(m: Measurements, calls: float, more: float) -> None:
    few, many = replace(m, calls_per_month=calls), replace(m, calls_per_month=calls + more)
    assert trains(few) <= trains(many)
    assert trains(replace(m, calls_per_month=None)) <= trains(few)


@SETTINGS
@given(ANY_RUN)
def test_a_cost_that_is_not_known_never_leads_to_training(m: Measurements) -> None:
    rows = (replace(r, cost_per_1000_calls=None) if r.name in m.untrained else r for r in m.approaches)
    assert trains(replace(m, approaches=tuple(rows))) <= trains(m)


@SETTINGS
@given(ANY_RUN, NEAR, COSTS | st.none(), st.sampled_from((0, 9)), st.booleans())
def test_another_rival_never_leads_to_training(
    m: Measurements, near: float, cost: float | None, failed: int, is_best: bool
) -> None:
    if trains(m) or m.rival is None:
        return
    score = m.rival.score + near
    row = replace(result("remote:large", 0.5, m.test_examples, failed), score=score, cost_per_1000_calls=cost)
    scores = {row.name: row.score for row in m.approaches} | {"remote:large": score}
    gains = gains_among(scores, 0.05)
    gains = {a: {b: m.gains.get(a, {}).get(b, gains[a][b]) for b in gains[a]} for a in gains}
    known = {**m.knowing, "remote:large": 0.5}
    knowing = gains_among(known, 0.05) if m.knowing else {}
    wider = replace(
        m,
        approaches=(*m.approaches, row),
        gains=gains,
        knowing_gains={
            a: {b: m.knowing_gains.get(a, {}).get(b, KnowingGain(g, 100)) for b, g in row.items()}
            for a, row in knowing.items()
        },
        best_untrained="remote:large" if is_best else m.best_untrained,
        best_closed_book="remote:large" if is_best else m.best_closed_book,
    )
    assert not trains(wider)


@SETTINGS
@given(ANY_RUN, st.floats(0.01, 1))
def test_narrower_intervals_leave_fine_tune_for_both_at_most(m: Measurements, factor: float) -> None:
    if decide(m).recommendation != "fine-tune":
        return

    def narrowed(g: PairedGain) -> PairedGain:
        return replace(
            g,
            low=g.estimate - factor * (g.estimate - g.low),
            high=g.estimate + factor * (g.high - g.estimate),
        )

    surer = replace(
        m,
        gains={a: {b: narrowed(g) for b, g in gains.items()} for a, gains in m.gains.items()},
        knowing_gains={
            a: {b: KnowingGain(narrowed(k.gain), k.examples) for b, k in gains.items()}
            for a, gains in m.knowing_gains.items()
        },
    )
    assert decide(surer).recommendation in TRAINS


@SETTINGS
@given(ANY_RUN)
def test_what_decides_nothing_changes_no_recommendation(m: Measurements) -> None:
    lenient = {"fine-tuned": {"few-shot": gain(0.0)}}
    assert decide(replace(m, lenient_gains=lenient)).recommendation == decide(m).recommendation
    forms = replace(m, form_scores={"fine-tuned": 1.0, "few-shot": 0.1})
    assert decide(forms).recommendation == decide(m).recommendation
