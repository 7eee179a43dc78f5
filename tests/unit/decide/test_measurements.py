from __future__ import annotations

import math

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
    assert measured(disagreement=Disagreement(0.19, 20)).ceiling == pytest.approx(0.9)
    assert measured(disagreement=Disagreement(0.19, 19)).ceiling == 1.0
    assert measured(disagreement=None).ceiling == 1.0
    assert measured(disagreement=Disagreement(1.0, 20)).ceiling == 0.0


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
