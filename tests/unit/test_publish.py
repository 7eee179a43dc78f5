"""What becomes of the models of a run, beside the one that its verdict is about."""

from __future__ import annotations

from dataclasses import replace

from measured_runs import BROKEN, PARITY
from tunewise.evidence import TrainedModel
from tunewise.publish import settle_state
from tunewise.records import ModelRecord, Reason, Verdict
from tunewise.train.fine_tune import TrainingSummary

RECORD = ModelRecord("ft:toy", "toy", "model", "candidate", "not compared yet", "run", 0)
TRAINING = TrainingSummary(30, 8, 1, 4, 4, 900, 2.0, 0.5, "0" * 64, 512, 2, "float32", None, [])
MODEL = TrainedModel("fine-tuned", RECORD, TRAINING, PARITY)
VERDICT = Verdict(
    recommendation="fine-tune",
    headline="Fine-tune.",
    primary_metric="exact_match",
    test_examples=70,
    approaches=(),
    best_without_training=None,
    gain=None,
    reasons=(Reason("beats-every-rival", "It wins.", {}),),
    model=RECORD.id,
    deployed=True,
    currency="GBP",
    training_cost=0.0,
    break_even_calls=None,
)
KEEP = replace(
    VERDICT, recommendation="keep-prompting", reasons=(Reason("no-gain-seen", "No.", {}),), deployed=False
)


def test_the_winner_is_deployed_for_what_was_ruled() -> None:
    record = settle_state(MODEL, VERDICT)
    assert (record.state, record.state_reason) == ("deployed", "It wins.")


def test_a_model_that_did_not_win_is_rejected_for_what_was_ruled() -> None:
    record = settle_state(MODEL, KEEP)
    assert (record.state, record.state_reason) == ("rejected", "No.")


def test_forced_is_said() -> None:
    record = settle_state(MODEL, replace(KEEP, deployed=True))
    assert (record.state, record.state_reason) == ("deployed", "deployed by --force, although: No.")


def test_one_that_is_not_served_as_trained_is_rejected_for_that_whatever_else_was_ruled() -> None:
    record = settle_state(replace(MODEL, parity=BROKEN), KEEP)
    assert record.state == "rejected"
    assert record.state_reason.startswith("The served model is not the trained one (log-probabilities")


def test_a_model_that_the_verdict_is_not_about_is_not_called_a_winner() -> None:
    record = settle_state(MODEL, replace(VERDICT, model="ft:other"))
    assert record.state == "rejected"
    assert record.state_reason == "the verdict of its run is about another model, ft:other"
