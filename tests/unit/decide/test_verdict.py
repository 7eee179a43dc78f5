"""What is recommended, when, and in which words."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tunewise.decide.measurements import Measurements
from tunewise.decide.verdict import RULES, SMALLEST_GAIN, decide, won
from tunewise.decide.wording import percent
from tunewise.evaluate.stats import PairedGain, wilson
from tunewise.records import ApproachResult, ParityCertificate

MODEL = "ft:smollm2-135m-instruct:local:prices:4fj2x9"


def result(name, score, n=233, failed=0, tokens=40.0, cost=0.05):
    interval = wilson(score * n, n)
    return ApproachResult(name, score, interval.low, interval.high, n - failed, failed, tokens, 17.0, cost)


def gain(estimate, half=0.05, p=0.0001, discordance=0.3):
    return PairedGain(estimate, estimate - half, estimate + half, p, 2 * p, discordance, 1.0)


def measured(tuned=0.92, prompt=0.23, floor=0.05, half=0.05, n=233, **changes):
    """One run with a tuned model, two prompts (few-shot the better) and a floor, as if exactly measured."""
    zero_shot = max(0.0, prompt - 0.10)
    usual = Measurements(
        primary_metric="exact_match",
        unique_examples=1143,
        test_examples=n,
        test_groups=n,
        approaches=(
            result("majority", floor, n),
            result("zero-shot", zero_shot, n),
            result("few-shot", prompt, n, tokens=412.0, cost=0.08),
            result("fine-tuned", tuned, n),
        ),
        floors=frozenset({"majority"}),
        best_untrained="few-shot",
        gains={
            "majority": gain(tuned - floor, half),
            "zero-shot": gain(tuned - zero_shot, half),
            "few-shot": gain(tuned - prompt, half),
        },
        untrained_gains={"majority": gain(prompt - floor, half)},
        model=MODEL,
        training_cost=0.02,
        hourly_price=0.10,
        hourly_price_is_assumed=True,
    )
    return replace(usual, **changes)


def ruling(m):
    verdict = decide(m)
    return verdict.recommendation, verdict.reasons[0].code


def test_a_tuned_model_that_beats_every_rival_is_deployed_and_says_both_scores():
    verdict = decide(measured())
    assert verdict.recommendation == "fine-tune"
    assert verdict.headline == (
        "Fine-tune: the tuned model gets 92% of 233 unseen examples right, the best prompt (few-shot) 23%."
    )
    assert verdict.deployed
    assert verdict.model == MODEL
    assert verdict.best_without_training == "few-shot"
    assert verdict.break_even_calls == 667
    reason = verdict.reasons[0]
    assert reason.code == "beats-every-rival"
    assert "+69.0 points over few-shot (95% interval +64.0 to +74.0, p = 0.0002)" in reason.text


def test_the_gain_is_the_weakest_of_all_comparisons():
    m = measured()
    gains = {**m.gains, "zero-shot": PairedGain(0.70, 0.40, 0.80, 0.01, 0.02, 0.3, 1.0)}
    overall = decide(replace(m, gains=gains)).gain
    assert overall.estimate == pytest.approx(0.69)
    assert overall.high == pytest.approx(0.74)
    assert overall.low == 0.40
    assert overall.p_value == 0.02


def test_one_rival_not_beaten_is_no_win():
    m = measured()
    for name in m.gains:
        gains = {**m.gains, name: gain(0.04, half=0.05)}
        assert not won(replace(m, gains=gains))
        assert decide(replace(m, gains=gains)).recommendation != "fine-tune"
        assert not decide(replace(m, gains=gains)).deployed


def test_a_sure_gain_too_small_to_matter_is_no_win():
    assert not won(measured(tuned=0.72, prompt=0.70, half=0.005))
    assert ruling(measured(tuned=0.72, prompt=0.70, half=0.005)) == ("keep-prompting", "gain-too-small")


def test_no_gain_seen_keeps_prompting():
    assert ruling(measured(tuned=0.70, prompt=0.70)) == ("keep-prompting", "no-gain-seen")
    verdict = decide(measured(tuned=0.65, prompt=0.70))
    assert verdict.headline == (
        "Keep prompting: the tuned model gets 65% of 233 unseen examples right, "
        "the best prompt (few-shot) 70%: training gained nothing that matters."
    )


def test_a_prompt_that_is_nearly_perfect_is_kept():
    verdict = decide(measured(tuned=0.99, prompt=0.98))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("keep-prompting", "prompting-already-good")
    assert "98%" in verdict.headline


def test_a_gain_that_could_be_chance_says_how_many_examples_would_tell():
    verdict = decide(measured(tuned=0.74, prompt=0.70, half=0.06, n=100))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("inconclusive", "cannot-tell")
    assert "about 134 more test examples would show a gain of 10 points" in verdict.headline
    assert "about 2514 more test examples would show a gain of 3 points" in verdict.headline
    assert verdict.reasons[0].evidence["more_for_3_points"] == 2514


def test_a_test_set_large_enough_for_ten_points_asks_for_three_only():
    headline = decide(measured(tuned=0.74, prompt=0.70, half=0.06, n=300)).headline
    assert "a gain of 10 points" not in headline
    assert "a gain of 3 points" in headline


def test_nothing_that_beats_guessing_is_inconclusive():
    verdict = decide(measured(tuned=0.41, prompt=0.40, floor=0.40))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("inconclusive", "nothing-beats-guessing")
    assert "guessing (majority) 40%: try a larger base model" in verdict.headline


def test_thirty_examples_are_too_few_however_large_the_gain():
    verdict = decide(measured(unique_examples=30, n=7))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("collect-more-data", "too-few-examples")
    assert verdict.headline.endswith("on too few examples to tell: bring about 92 more examples.")
    assert not verdict.deployed


def test_three_groups_are_too_few_however_many_examples():
    verdict = decide(measured(test_groups=3))
    assert verdict.recommendation == "collect-more-data"
    assert "12 more groups" in verdict.headline


def test_on_few_examples_a_prompt_that_surely_is_good_is_kept():
    m = measured(tuned=1.0, prompt=1.0, n=40, unique_examples=45)
    assert ruling(m) == ("keep-prompting", "prompting-already-good")
    assert ruling(replace(m, untrained_gains={})) == ("collect-more-data", "too-few-examples")


def failing(m, name, failed):
    rows = (
        replace(r, answered=r.answered - failed, failed=failed) if r.name == name else r for r in m.approaches
    )
    return replace(m, approaches=tuple(rows))


def test_calls_that_fail_stop_a_win_on_either_side():
    m = measured()
    assert ruling(failing(m, "fine-tuned", 4)) == ("fine-tune", "beats-every-rival")
    assert ruling(failing(m, "fine-tuned", 5)) == ("keep-prompting", "tuned-calls-fail")
    assert ruling(failing(m, "few-shot", 4)) == ("fine-tune", "beats-every-rival")
    assert ruling(failing(m, "few-shot", 5)) == ("inconclusive", "rival-calls-fail")
    assert not decide(failing(m, "few-shot", 5)).deployed


def test_force_deploys_a_model_that_lost_but_never_none():
    lost = measured(tuned=0.60, prompt=0.70)
    assert not decide(lost).deployed
    assert decide(lost, forced=True).deployed
    assert decide(lost, forced=True).recommendation == "keep-prompting"
    assert not decide(replace(lost, model=None), forced=True).deployed


PARITY = ParityCertificate("float32", 32, 500, True, 4e-6, 6e-8, 1e-3, True)
BROKEN = replace(PARITY, max_difference=2.3, mean_difference=0.4, passed=False)


def test_a_better_score_of_a_model_that_is_not_the_trained_one_keeps_prompting():
    verdict = decide(measured(parity=BROKEN))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("keep-prompting", "not-parity")
    assert verdict.headline.endswith("23%, but the served model is not the trained one.")
    assert "differ by up to 2.3 nats, where rounding in float32 explains 0.001" in verdict.reasons[0].text
    assert verdict.reasons[0].evidence["parity"] == asdict(BROKEN)
    # Its score is another model's, so nothing is said of what training changed.
    assert [reason.code for reason in verdict.reasons] == ["not-parity", "test-size"]


def test_a_certificate_that_passed_or_was_not_asked_for_changes_nothing():
    assert decide(measured(parity=PARITY)) == decide(measured(parity=None)) == decide(measured())


def test_a_loss_of_a_model_that_is_not_the_trained_one_is_not_blamed_on_training():
    assert ruling(measured(tuned=0.60, prompt=0.70, parity=BROKEN)) == ("keep-prompting", "not-parity")


def test_not_even_force_deploys_a_model_that_is_not_served_as_trained():
    for m in (measured(), measured(tuned=0.60, prompt=0.70), measured(unique_examples=30, n=7)):
        assert decide(replace(m, parity=PARITY), forced=True).deployed
        verdict = decide(replace(m, parity=BROKEN), forced=True)
        assert not verdict.deployed
        assert "not-parity" in [reason.code for reason in verdict.reasons]


def test_the_reason_says_what_differs_where_no_log_probability_could_be_compared():
    other_ids = replace(BROKEN, ids_equal=False, max_difference=None, mean_difference=None)
    assert "as other tokens" in decide(measured(parity=other_ids)).reasons[0].text
    no_number = replace(other_ids, ids_equal=True)
    assert "no log-probabilities could be compared" in decide(measured(parity=no_number)).reasons[0].text


def without(m, name):
    rest = {rival: g for rival, g in m.gains.items() if name not in (rival, "fine-tuned")}
    return replace(m, approaches=tuple(r for r in m.approaches if r.name != name), gains=rest)


def test_without_a_tuned_model_or_a_prompt_there_is_nothing_to_decide():
    untrained = replace(without(measured(), "fine-tuned"), model=None)
    verdict = decide(untrained)
    assert (verdict.recommendation, verdict.gain, verdict.break_even_calls) == ("inconclusive", None, None)
    assert "the best prompt (few-shot) gets 23%" in verdict.headline
    assert "a tuned model to compare with was not run" in verdict.headline
    unprompted = without(replace(measured(), best_untrained=None), "few-shot")
    assert "a prompt to compare with was not run" in decide(unprompted).headline
    assert decide(
        replace(untrained, approaches=(), floors=frozenset(), best_untrained=None, untrained_gains={})
    )


def test_a_comparison_with_something_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="compared with one-shot"):
        measured(gains={"one-shot": gain(0.1)})
    with pytest.raises(ValueError, match="compared with rag"):
        measured(best_untrained="rag")


def test_a_win_tells_of_form_cost_and_test_size_when_they_were_measured():
    forms = {"fine-tuned": 1.0, "few-shot": 0.60, "zero-shot": 0.10, "majority": 1.0}
    codes = [reason.code for reason in decide(measured(form_scores=forms)).reasons]
    assert codes == ["beats-every-rival", "format-not-learned-by-prompting", "cheaper-per-call"]
    reasons = decide(measured()).reasons
    assert [reason.code for reason in reasons] == ["beats-every-rival", "cheaper-per-call", "test-size"]
    assert "40 tokens, not 412" in reasons[1].text
    assert "an assumed £0.10 an hour" in reasons[1].text
    assert reasons[2].text == "233 unseen examples are enough to show a gain of 10 points or more."


def test_a_form_that_prompts_keep_as_well_is_no_reason():
    forms = {"fine-tuned": 1.0, "few-shot": 0.97, "zero-shot": 0.10}
    assert "format-not-learned-by-prompting" not in [
        r.code for r in decide(measured(form_scores=forms)).reasons
    ]


def test_other_metrics_are_named_in_the_headline():
    headline = decide(measured(primary_metric="json_field_accuracy")).headline
    assert "scores 92% on json field accuracy over 233 unseen examples" in headline


def test_percentages_never_round_to_all_or_nothing():
    assert [percent(x) for x in (0, 0.004, 0.23, 0.996, 1)] == ["0%", "0.4%", "23%", "99.6%", "100%"]


shares = st.floats(0, 1)
halves = st.floats(0.001, 0.4)
cases = st.builds(measured, tuned=shares, prompt=shares, floor=shares, half=halves, n=st.integers(1, 400))


@given(cases)
def test_every_case_has_one_verdict_with_absolute_scores_and_up_to_three_reasons(m):
    verdict = decide(m)
    assert 1 <= len(verdict.reasons) <= 3
    assert percent(m.tuned.score) in verdict.headline
    assert percent(m.rival.score) in verdict.headline
    assert verdict.headline.endswith(".")
    assert verdict.deployed == (verdict.recommendation == "fine-tune")
    assert verdict.deployed <= won(m)
    json.dumps(asdict(verdict), allow_nan=False)
    assert sum(rule(m) is not None for rule in RULES) >= 1


@given(
    st.builds(
        measured,
        tuned=st.floats(0.5, 1),
        prompt=st.floats(0, 0.5),
        floor=st.floats(0, 0.3),
        half=st.floats(0.001, 0.1),
    ),
    st.floats(0.5, 1),
)
def test_more_gain_by_training_never_leaves_fine_tune(m, better):
    assume(decide(m).recommendation == "fine-tune")
    better = max(better, m.tuned.score)
    more = better - m.tuned.score
    raised = {
        name: replace(g, estimate=g.estimate + more, low=g.low + more, high=g.high + more)
        for name, g in m.gains.items()
    }
    rows = (replace(r, score=better) if r.name == "fine-tuned" else r for r in m.approaches)
    assert decide(replace(m, gains=raised, approaches=tuple(rows))).recommendation == "fine-tune"


@given(shares, shares, shares, shares, shares, halves)
def test_better_prompting_and_higher_floors_never_create_fine_tune(tuned, prompt, more, floor, higher, half):
    before = decide(measured(tuned, prompt, floor, half)).recommendation
    after = decide(measured(tuned, max(prompt, more), max(floor, higher), half)).recommendation
    assert before == "fine-tune" or after != "fine-tune"


@given(cases, st.floats(-1, 1))
def test_another_rival_never_turns_a_lost_run_into_a_win(m, estimate):
    rows = (*m.approaches, result("rag", 0.5))
    wider = replace(m, approaches=rows, gains={**m.gains, "rag": gain(estimate)})
    assert won(wider) <= won(m)
    assert won(wider) == (won(m) and gain(estimate).low > 0 and estimate >= SMALLEST_GAIN)
