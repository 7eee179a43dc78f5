"""What a verdict says, of whom, and what is deployed."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from measured_runs import (
    BROKEN,
    FACTS,
    FORGETFUL,
    MODEL,
    MODEL_WITH_DOCUMENTS,
    PARITY,
    gain,
    measured,
    with_arm,
    with_failed_calls,
    without,
)
from tunewise.decide.measurements import Disagreement, Measurements
from tunewise.decide.verdict import decide
from tunewise.evaluate.judge import Judgement
from tunewise.evaluate.stats import PairedGain
from tunewise.records import Consistency


def ruling(m: Measurements) -> tuple[str, str]:
    verdict = decide(m)
    return verdict.recommendation, verdict.reasons[0].code


def codes(m: Measurements) -> list[str]:
    return [reason.code for reason in decide(m).reasons]


def test_a_tuned_model_that_beats_every_rival_is_deployed_and_says_both_scores() -> None:
    verdict = decide(measured())
    assert verdict.recommendation == "fine-tune"
    assert verdict.headline == (
        "Fine-tune: the tuned model gets 92% of 233 unseen examples right, the best prompt (few-shot) 23%."
    )
    assert verdict.deployed
    assert verdict.model == MODEL
    assert verdict.best_without_training == "few-shot"
    assert verdict.training_cost == pytest.approx(0.02)
    assert verdict.break_even_calls == 667
    reason = verdict.reasons[0]
    assert reason.code == "beats-every-rival"
    assert "+69.0 points over few-shot (95% interval +64.0 to +74.0, p = 0.0002)" in reason.text


def test_the_gain_is_the_weakest_of_all_comparisons() -> None:
    m = measured()
    weak = PairedGain(0.70, 0.40, 0.80, 0.01, 0.3, 1.0)
    gains = {**m.gains, "fine-tuned": {**m.gains["fine-tuned"], "zero-shot": weak}}
    overall = decide(replace(m, gains=gains)).gain
    assert overall is not None
    assert overall.estimate == pytest.approx(0.69)
    assert overall.high == pytest.approx(0.74)
    assert overall.low == 0.40
    assert overall.p_value == 0.02


def test_the_model_that_is_deployed_is_the_one_that_won() -> None:
    facts = measured(tuned=0.21, prompt=0.14, rag=0.20, both=0.84, fact_or_skill=FACTS)
    verdict = decide(facts)
    assert (verdict.recommendation, verdict.model) == ("fine-tune-and-rag", MODEL_WITH_DOCUMENTS)
    assert verdict.deployed
    assert verdict.headline == (
        "Fine-tune and use your documents: the tuned model with your documents gets 84% of 233 unseen "
        "examples right, a prompt with your documents (rag) 20%, the tuned model 21%."
    )
    assert verdict.gain is not None
    assert verdict.gain.estimate == pytest.approx(0.64)
    assert verdict.gain.low == pytest.approx(0.58)  # over the tuned model without documents
    assert decide(measured(rag=0.30, both=0.93)).model == MODEL


def test_no_gain_keeps_prompting_with_both_scores() -> None:
    assert decide(measured(tuned=0.65, prompt=0.70)).headline == (
        "Keep prompting: the tuned model gets 65% of 233 unseen examples right, "
        "the best prompt (few-shot) 70%: training gained nothing that matters."
    )


def test_documents_are_named_first_where_they_are_recommended() -> None:
    headline = decide(measured(tuned=0.30, prompt=0.28, rag=0.80)).headline
    assert headline.startswith(
        "Use your documents: a prompt with your documents (rag) gets 80% of 233 unseen examples right, "
        "the best prompt (few-shot) 28%, the tuned model 30%"
    )


def test_a_score_that_guessing_reaches_is_never_shown_without_it() -> None:
    for m in (
        measured(tuned=0.97, prompt=0.97, floor=0.97, half=0.01),
        measured(tuned=0.99, prompt=0.975, floor=0.97, half=0.01),
        measured(tuned=0.99, prompt=0.98, floor=0.97, half=0.02, n=20),
        with_arm(measured(tuned=0.97, prompt=0.97, floor=0.97), parity=BROKEN),
    ):
        assert "guessing (majority) 97%" in decide(m).headline
        assert "prompting-already-good" not in codes(m)


def test_a_gain_that_could_be_chance_says_how_many_examples_would_tell() -> None:
    verdict = decide(measured(tuned=0.74, prompt=0.70, half=0.06, n=100))
    assert "about 134 more test examples would show a gain of 10 points" in verdict.headline
    assert "about 2514 more test examples would show a gain of 3 points" in verdict.headline
    assert verdict.reasons[0].evidence["more_for_3_points"] == 2514


def test_a_test_set_large_enough_for_ten_points_asks_for_three_only() -> None:
    headline = decide(measured(tuned=0.74, prompt=0.70, half=0.06, n=300)).headline
    assert "a gain of 10 points" not in headline
    assert "a gain of 3 points" in headline


def test_too_few_examples_say_how_many_more() -> None:
    verdict = decide(measured(unique_examples=30, n=7))
    assert verdict.headline.endswith("on too few examples to tell: bring about 92 more examples.")
    assert not verdict.deployed
    assert "12 more groups" in decide(measured(test_groups=3)).headline


def test_force_deploys_a_model_that_lost_but_never_none() -> None:
    lost = measured(tuned=0.60, prompt=0.70)
    assert not decide(lost).deployed
    assert decide(lost, forced=True).deployed
    assert decide(lost, forced=True).recommendation == "keep-prompting"
    assert not decide(with_arm(lost, model=None), forced=True).deployed
    assert not decide(measured(tuned=None), forced=True).deployed


def test_a_better_score_of_a_model_that_is_not_the_trained_one_keeps_prompting() -> None:
    verdict = decide(with_arm(measured(), parity=BROKEN))
    assert (verdict.recommendation, verdict.reasons[0].code) == ("keep-prompting", "not-parity")
    assert verdict.headline.endswith("23%, but the served model is not the trained one.")
    assert "differ by up to 2.3 nats, where rounding in float32 explains 0.001" in verdict.reasons[0].text
    assert verdict.reasons[0].evidence["parity"] == asdict(BROKEN)
    # Its score is another model's, so nothing is said of what training changed.
    assert [reason.code for reason in verdict.reasons] == ["not-parity", "test-size"]


def test_a_certificate_that_passed_changes_nothing_but_what_was_not_measured() -> None:
    passed, unknown = decide(with_arm(measured(), parity=PARITY)), decide(measured())
    assert "whether the served model is the trained one" in unknown.reasons[0].evidence["not_measured"]
    assert "whether the served model is the trained one" not in passed.reasons[0].evidence["not_measured"]
    assert replace(passed, reasons=()) == replace(unknown, reasons=())


def test_not_even_force_deploys_a_model_that_is_not_served_as_trained() -> None:
    for m in (measured(), measured(tuned=0.60, prompt=0.70), measured(unique_examples=30, n=7)):
        assert decide(with_arm(m, parity=PARITY), forced=True).deployed
        broken = with_arm(m, parity=BROKEN)
        assert not decide(broken, forced=True).deployed
        assert "not-parity" in codes(broken)


def test_the_reason_says_what_differs_where_no_log_probability_could_be_compared() -> None:
    other_ids = replace(BROKEN, ids_equal=False, max_difference=None, mean_difference=None)
    assert "as other tokens" in decide(with_arm(measured(), parity=other_ids)).reasons[0].text
    no_number = replace(other_ids, ids_equal=True)
    text = decide(with_arm(measured(), parity=no_number)).reasons[0].text
    assert "no log-probabilities could be compared" in text


def test_without_a_tuned_model_or_a_prompt_there_is_nothing_to_decide() -> None:
    untrained = measured(tuned=None)
    verdict = decide(untrained)
    assert (verdict.recommendation, verdict.gain, verdict.break_even_calls) == ("inconclusive", None, None)
    assert "the best prompt (few-shot) gets 23%" in verdict.headline
    assert "a tuned model to compare with was not run" in verdict.headline
    assert (
        "a prompt to compare with was not run"
        in decide(without(measured(), "zero-shot", "few-shot")).headline
    )
    nothing = without(untrained, "majority", "zero-shot", "few-shot")
    assert decide(nothing).headline == (
        "Inconclusive: nothing was measured; a prompt to compare with was not run."
    )


def test_a_win_tells_of_form_cost_and_test_size_when_they_were_measured() -> None:
    forms = {"fine-tuned": 1.0, "few-shot": 0.60, "zero-shot": 0.10, "majority": 1.0}
    assert codes(measured(form_scores=forms)) == [
        "beats-every-rival", "format-not-learned-by-prompting", "cheaper-per-call",
    ]  # fmt: skip
    reasons = decide(measured()).reasons
    assert [reason.code for reason in reasons] == ["beats-every-rival", "cheaper-per-call", "test-size"]
    assert "40 tokens, not 412" in reasons[1].text
    assert "an assumed £0.10 an hour" in reasons[1].text
    assert reasons[2].text == "233 unseen examples are enough to show a gain of 10 points or more."


def test_a_form_that_prompts_keep_as_well_is_no_reason() -> None:
    forms = {"fine-tuned": 1.0, "few-shot": 0.97, "zero-shot": 0.10}
    assert "format-not-learned-by-prompting" not in codes(measured(form_scores=forms))


def test_a_gain_that_a_lenient_reader_does_not_see_is_said_to_be_form() -> None:
    assert "form-only" in codes(measured(lenient_gains={"fine-tuned": {"few-shot": gain(0.01)}}))
    assert "form-only" not in codes(measured(lenient_gains={"fine-tuned": {"few-shot": gain(0.40)}}))
    # One rival read leniently is enough, whichever prompt was best when read strictly.
    weakest = {"few-shot": gain(0.40), "zero-shot": gain(0.02)}
    reason = decide(measured(lenient_gains={"fine-tuned": weakest})).reasons[1]
    assert "does not surely beat zero-shot by 3 points any more (+2.0 points over zero-shot" in reason.text


def test_a_gain_of_which_form_explains_a_little_is_not_said_to_be_form() -> None:
    barely_sure = measured(prompt=0.85, half=0.06)
    most_is_left, little_is_left = gain(0.055, half=0.06), gain(0.03, half=0.06)
    assert "beats-every-rival" in codes(barely_sure)
    for lenient, is_said in ((most_is_left, False), (little_is_left, True)):
        m = replace(barely_sure, lenient_gains={"fine-tuned": {"few-shot": lenient}})
        assert ("form-only" in codes(m)) == is_said


def test_a_win_of_a_model_that_forgets_comes_with_a_warning() -> None:
    m = with_arm(measured(), forgetting=FORGETFUL)
    assert codes(m)[:2] == ["beats-every-rival", "forgets"]
    assert "12 points fewer right" in decide(m).reasons[1].text


def steady(agreement: float | None, spread: float | None, form_rate: float | None) -> Consistency:
    return Consistency(agreement, spread, form_rate, raw_agreement=0.1, inputs=20, temperature=1.0)


UNSTEADY = [
    (steady(0.80, 0.05, 1.0), "at temperature 1 it gives the same answer 80% of the time, so there it is "
                              "right at most about 89%"),
    (steady(0.95, 0.11, 1.0), "moves by 11 points"),
    (steady(0.95, 0.05, 0.94), "keeps the form of the answer 94% of the time"),
    (steady(0.81, 0.10, 0.95), None),
    (steady(None, None, None), None),
]  # fmt: skip


@pytest.mark.parametrize(("consistency", "words"), UNSTEADY)
def test_an_unsteady_prompt_is_a_reason_and_decides_nothing(
    consistency: Consistency, words: str | None
) -> None:
    kept = measured(tuned=0.65, prompt=0.70)
    verdict = decide(replace(kept, consistency={"few-shot": consistency}))
    texts = [reason.text for reason in verdict.reasons if reason.code == "unsteady-prompt"]
    assert [words in text for text in texts] == ([] if words is None else [True])
    assert verdict.recommendation == decide(kept).recommendation


@pytest.mark.parametrize(("consistency", "words"), UNSTEADY)
def test_so_is_an_unsteady_model_that_won(consistency: Consistency, words: str | None) -> None:
    verdict = decide(measured(consistency={"fine-tuned": consistency}))
    texts = [reason.text for reason in verdict.reasons if reason.code == "unsteady-model"]
    assert [text.startswith("The tuned model is unsteady") for text in texts] == [True] * len(texts)
    assert [words in text for text in texts] == ([] if words is None else [True])
    assert verdict.recommendation == "fine-tune"


def test_a_cheaper_model_that_is_as_good_asks_for_the_number_of_calls() -> None:
    m = measured(tuned=0.705, prompt=0.70, half=0.01)
    assert codes(m) == ["gain-too-small", "cheaper-at-volume", "test-size"]
    assert "--calls-per-month" in decide(m).reasons[1].text
    assert "cheaper-at-volume" not in codes(measured(tuned=0.65, prompt=0.70, half=0.01))


def test_other_metrics_are_named_in_the_headline() -> None:
    headline = decide(measured(primary_metric="json_field_accuracy")).headline
    assert "scores 92% on json field accuracy over 233 unseen examples" in headline


def test_a_verdict_lists_what_was_not_measured() -> None:
    listed = decide(measured()).reasons[0].evidence["not_measured"]
    assert "what twice the examples would give" in listed
    assert "how often your answers contradict each other" in listed
    known = decide(measured(disagreement=Disagreement(0.1, 20))).reasons[0].evidence["not_measured"]
    assert "how often your answers contradict each other" not in known


def test_failed_calls_stop_a_win_on_either_side() -> None:
    m = measured()
    assert ruling(with_failed_calls(m, "fine-tuned", 4)) == ("fine-tune", "beats-every-rival")
    assert ruling(with_failed_calls(m, "fine-tuned", 5)) == ("keep-prompting", "tuned-calls-fail")
    assert ruling(with_failed_calls(m, "few-shot", 4)) == ("fine-tune", "beats-every-rival")
    assert ruling(with_failed_calls(m, "few-shot", 5)) == ("inconclusive", "rival-calls-fail")
    assert not decide(with_failed_calls(m, "few-shot", 5)).deployed


def test_training_that_was_cut_short_is_a_reason_on_either_side() -> None:
    words = "fine-tuned goes once, not 3 times, over 50 of 764 training examples"
    left_out = (words, "zero-shot is left out")
    lost = decide(measured(tuned=0.65, prompt=0.70, left_out=left_out))
    assert lost.reasons[1].code == "training-cut-short"
    assert words in lost.reasons[1].text
    assert "zero-shot" not in lost.reasons[1].text
    # On a win it comes last but one.
    assert codes(measured(left_out=left_out))[-1:] == ["training-cut-short"]


def test_volume_is_asked_for_only_where_it_could_change_the_verdict() -> None:
    few = measured(tuned=0.705, prompt=0.70, half=0.01, unique_examples=49)
    assert (ruling(few)[0], "cheaper-at-volume" in codes(few)) == ("collect-more-data", False)


def test_a_gain_that_was_not_seen_is_not_said_to_be_absent() -> None:
    verdict = decide(measured(tuned=0.60, prompt=0.60, half=0.17, n=40))
    assert verdict.reasons[0].code == "no-gain-seen"
    assert "no gain was seen, of which this test could show 24 points or more" in verdict.headline
    assert "nothing that matters" not in verdict.headline + verdict.reasons[0].text


def test_a_model_tuned_with_documents_that_gained_is_what_cannot_be_told() -> None:
    m = measured(tuned=0.50, prompt=0.50, rag=0.505, both=0.60)
    gains = {**m.gains, "fine-tuned-rag": {**m.gains["fine-tuned-rag"], "fine-tuned": gain(0.10, half=0.11)}}
    verdict = decide(replace(m, gains=gains))
    assert verdict.reasons[0].code == "cannot-tell"
    assert "the tuned model with your documents gets 60%" in verdict.headline
    assert "its lead over the tuned model (50%) could be chance" in verdict.headline


def judged(wins: int, losses: int, contradicted: int = 0, examples: int = 233) -> Measurements:
    share = (wins - losses) / examples
    found = PairedGain(share, share - 0.05, share + 0.05, 0.01, 0.3, 1.0)
    ties = examples - wins - losses
    said = Judgement("embedded", "fine-tuned", "few-shot", wins, ties, losses, 100, contradicted, 0, found)
    return replace(measured(), judgements=(said,))


def test_what_a_judge_said_stands_among_the_reasons_and_decides_nothing() -> None:
    against, without_one = decide(judged(wins=10, losses=90)), decide(measured())
    assert (against.recommendation, against.reasons[0]) == (
        without_one.recommendation,
        without_one.reasons[0],
    )
    assert against.reasons[1].code == "judged"
    assert (
        "better than those of few-shot on 10 of 233 unseen examples and worse on 90"
        in against.reasons[1].text
    )
    assert "This decides nothing." in against.reasons[1].text
    assert against.reasons[1].evidence["judgement"]["losses"] == 90


def test_a_judge_that_contradicts_itself_is_not_to_be_trusted() -> None:
    steady, fickle = (decide(judged(20, 10, contradicted=n)).reasons[1].text for n in (49, 50))
    assert "It means little" not in steady
    assert "It means little: on 50 of 100 pairs the judge changed its mind" in fickle


def test_a_judge_without_a_verdict_says_why() -> None:
    nothing = Judgement("embedded", "fine-tuned", "few-shot", 0, 0, 0, 233, 0, 233, None, "out of memory")
    text = decide(replace(measured(), judgements=(nothing,))).reasons[1].text
    assert text == "The judge (embedded) gave no verdict on any pair of answers: out of memory."
