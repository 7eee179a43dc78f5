"""Advice to somebody without data: the first rule that applies, in the verdict's words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.decide.advice import MEASURE, Situation, advise
from tunewise.decide.verdict import TITLES

FORM = Situation("form", "no", 500, "always", "usable")
FACTS = replace(FORM, lacking="facts", documents="yes")


@pytest.mark.parametrize(
    ("situation", "recommendation", "code"),
    [
        (FORM, "fine-tune", "form-is-learned"),
        (replace(FORM, prompting="good"), "keep-prompting", "prompting-already-good"),
        (replace(FORM, prompting="not-tried"), "keep-prompting", "prompt-first"),
        (replace(FORM, agreement="often-not"), "fix-the-data", "labels-cap-the-score"),
        (replace(FORM, examples=49), "collect-more-data", "too-few-examples"),
        (replace(FORM, examples=50), "fine-tune", "form-is-learned"),
        (FACTS, "use-rag", "answers-live-in-documents"),
        (replace(FACTS, documents="no"), "collect-more-data", "facts-need-documents"),
        (replace(FACTS, lacking="both"), "fine-tune-and-rag", "both-needed"),
        (replace(FACTS, lacking="both", documents="no"), "collect-more-data", "facts-need-documents"),
        (replace(FACTS, lacking="both", examples=10), "collect-more-data", "too-few-examples"),
    ],
)
def test_the_first_rule_that_applies_decides(situation, recommendation, code):
    advice = advise(situation)
    assert (advice.recommendation, advice.reasons[0].code) == (recommendation, code)
    assert advice.headline.startswith(TITLES[recommendation])


def test_too_few_examples_say_how_many_more():
    assert "bring about 38 more examples" in advise(replace(FORM, examples=12)).headline


def test_few_examples_are_told_what_a_test_on_them_can_show():
    codes = {n: [reason.code for reason in advise(replace(FORM, examples=n)).reasons] for n in (100, 400)}
    assert codes == {100: ["form-is-learned", "few-examples"], 400: ["form-is-learned"]}


def test_answers_that_change_are_a_reason_against_learning_them():
    reasons = [reason.code for reason in advise(replace(FORM, changes=True)).reasons]
    assert reasons == ["form-is-learned", "answers-change"]


situations = st.builds(
    Situation,
    lacking=st.sampled_from(["form", "facts", "both"]),
    documents=st.sampled_from(["yes", "no"]),
    examples=st.integers(0, 10_000),
    agreement=st.sampled_from(["always", "mostly", "often-not"]),
    prompting=st.sampled_from(["not-tried", "bad", "usable", "good"]),
    changes=st.booleans(),
)


@given(situations)
def test_whatever_is_said_there_is_advice_that_ends_in_a_measurement(situation):
    assert advise(situation).next_steps[-1] == MEASURE


@given(situations, st.integers(0, 10_000))
def test_more_examples_never_take_training_away(situation, more):
    before = advise(situation).recommendation
    after = advise(replace(situation, examples=situation.examples + more)).recommendation
    assert after == before or before == "collect-more-data"


def test_partial_agreement_is_a_reason_to_settle_it_first():
    advice = advise(replace(FORM, agreement="mostly"))
    assert advice.recommendation == "fine-tune"
    assert [reason.code for reason in advice.reasons] == ["form-is-learned", "labels-cap-the-score"]


def test_what_to_collect_next_says_how_many():
    few, enough = (advise(replace(FORM, examples=n)).next_steps[0] for n in (120, 400))
    assert "280 more than the 120 that you spoke of" in few
    assert "Bring your 400 questions" in enough
