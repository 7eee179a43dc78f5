from __future__ import annotations

import math
from typing import Any

import pytest

from measured_runs import gain, measured
from tunewise.decide.measurements import Disagreement, TrainedArm


def test_a_comparison_with_something_that_was_not_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="compared with one-shot"):
        measured(gains={"fine-tuned": {"one-shot": gain(0.1)}})
    with pytest.raises(ValueError, match="compared with rag"):
        measured(best_untrained="rag")
    with pytest.raises(ValueError, match="magic is no name of a trained model"):
        measured(arms=(TrainedArm("magic", None, 1.0),))


def test_contradicting_answers_cap_the_score_once_enough_of_them_are_seen() -> None:
    def ceiling(disagreement: Disagreement | None, **changes: Any) -> float:
        return measured(tuned=0.05, prompt=0.05, floor=0.0, disagreement=disagreement, **changes).ceiling

    assert ceiling(Disagreement(0.19, 20)) == pytest.approx(0.9)
    assert ceiling(Disagreement(0.19, 19)) == 1.0
    assert ceiling(None) == 1.0
    assert ceiling(Disagreement(0.96, 20)) == pytest.approx(0.2)
    # An answer that is partly right is not bound by how often two answers are the same.
    assert ceiling(Disagreement(0.96, 20), primary_metric="json_field_accuracy") == 1.0
    assert ceiling(Disagreement(0.96, 20), primary_metric="macro_f1") == 1.0


def test_no_score_is_above_the_best_possible_one() -> None:
    near, beyond = (measured(tuned=score, disagreement=Disagreement(0.19, 20)) for score in (0.92, 0.97))
    assert near.ceiling == 0.92
    # Surely more than contradicting answers would allow: those that repeat are not like the others.
    assert beyond.ceiling == 1.0


def test_nothing_to_compare_is_not_the_same_as_never_paying_back() -> None:
    untrained, dearer = measured(tuned=None), measured(both=0.9)
    assert untrained.main_arm is None
    arm = dearer.arm("fine-tuned-rag")
    assert arm is not None
    assert dearer.saving(arm, None) is None
    saving = dearer.saving(arm, "zero-shot")
    assert saving is not None
    assert saving.break_even_calls is None
    assert saving.payback_months(1e6, 0) == math.inf


def test_controls_are_no_rivals_and_documents_no_prompt() -> None:
    m = measured(rag=0.3, both=0.9, more={"from-scratch": 0.95})
    assert m.untrained == ("zero-shot", "few-shot", "rag")
    assert m.prompts == ("zero-shot", "few-shot")
    assert m.rivals_of("fine-tuned") == ("majority", "zero-shot", "few-shot", "rag")
    assert m.rivals_of("fine-tuned-rag") == ("majority", "zero-shot", "few-shot", "rag", "fine-tuned")
