"""What becomes of a model that is not served as it was trained."""

from __future__ import annotations

from dataclasses import replace

from tunewise.publish import judge
from tunewise.records import ModelRecord, Reason, Verdict

RECORD = ModelRecord("ft:toy", "toy", "model", "candidate", "not compared yet", "run", 0)
VERDICT = Verdict(
    recommendation="collect-more-data",
    headline="Collect more data.",
    primary_metric="exact_match",
    test_examples=7,
    approaches=(),
    best_without_training=None,
    gain=None,
    reasons=(Reason("too-few-examples", "Bring more.", {}), Reason("not-parity", "It is another model.", {})),
    model=RECORD.id,
    deployed=False,
    currency="GBP",
    training_cost=0.0,
    break_even_calls=None,
)


def test_it_is_rejected_for_that_whatever_else_was_ruled() -> None:
    record = judge(RECORD, VERDICT)
    assert (record.state, record.state_reason) == ("rejected", "It is another model.")


def test_a_served_model_is_rejected_for_what_was_ruled() -> None:
    assert judge(RECORD, replace(VERDICT, reasons=VERDICT.reasons[:1])).state_reason == "Bring more."
