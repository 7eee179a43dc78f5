"""Whatever the metric: a failed call, a missing, a wrong and an undefined answer are four things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from metric_samples import COUNTED, LABELLED, PRICED, TOLD, example
from tunewise.approaches.prompted import Prompted
from tunewise.evaluate.metrics import scoring
from tunewise.evaluate.metrics.scoring import METRIC_NAMES, choose_scoring
from tunewise.evaluate.metrics.similarity import EmbeddingSimilarity
from tunewise.evaluate.runner import Decoding, ScoredRun, run_approach, value_of
from tunewise.progress import SilentProgress
from tunewise.records import ChatRequest, Completion, Example

FITTING = {"macro_f1": LABELLED, "form": LABELLED, "numeric_match": COUNTED, "json_field_accuracy": PRICED,
           "json_validity": PRICED}  # fmt: skip
UNDEFINED = {
    "json_field_accuracy": example("how much?", "no price"),
    "json_validity": example("how much?", "no price"),
    "numeric_match": example("how many?", "none at all"),
    "contains_answer": example("which?", "..."),
    "rouge_l": example("which?", "..."),
    "embedding_similarity": example("which?", " "),
    "knowing": example("say: positive", "positive"),
    "form": example("which?", "a label that nobody else has"),
}


class Answers:
    """Stands in for an engine: answers with these texts, where None is a call that fails."""

    def __init__(self, *texts: str | None) -> None:
        self.texts = texts

    def generate(self, requests: list[ChatRequest], on_done: object = None) -> list[Completion]:
        return [
            Completion("", "error", 1, 0, 1.0, error="out of memory")
            if text is None
            else Completion(text, "stop", 1, 1, 1.0)
            for text in self.texts
        ]


@pytest.fixture(autouse=True)
def no_embedding_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text here needs vectors: each is empty, expected, or compared with nothing."""
    monkeypatch.setattr(scoring, "open_similarity", lambda: EmbeddingSimilarity(never_embed))


def never_embed(texts: Sequence[str]) -> np.ndarray:
    raise AssertionError(f"embedded {texts}")


def answered(metric: str, examples: list[Example], *texts: str | None) -> ScoredRun:
    decoding = Decoding(choose_scoring(FITTING.get(metric, TOLD), metric), 5)
    return run_approach(Prompted("zero-shot", "toy"), examples, Answers(*texts), decoding, SilentProgress())


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_a_failed_call_has_no_value_and_counts_as_no_help(metric: str) -> None:
    asked = FITTING.get(metric, TOLD)[0]
    right, failed = answered(metric, [asked, asked], asked.answer, None).scores
    assert (right.status, right.metrics[metric]) == ("answered", pytest.approx(1.0))
    assert (failed.status, failed.metrics[metric]) == ("failed", None)
    assert value_of(failed, metric) == 0.0
    assert ScoredRun((right, failed), 1.0).mean(metric) == pytest.approx(0.5)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_an_empty_answer_is_a_wrong_one_and_not_a_failed_one(metric: str) -> None:
    (score,) = answered(metric, FITTING.get(metric, TOLD)[:1], "").scores
    assert (score.status, score.metrics[metric]) == ("answered", 0.0)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_a_missing_answer_counts_as_no_help_whatever_it_would_have_said(metric: str) -> None:
    asked = FITTING.get(metric, TOLD)[0]
    (right,) = answered(metric, [asked], asked.answer).scores
    missing = replace(right, status="missing", answer="", metrics={})
    assert value_of(missing, metric) == 0.0


@pytest.mark.parametrize("metric", UNDEFINED)
def test_an_undefined_value_is_left_out_of_the_mean_whatever_was_answered(metric: str) -> None:
    asked = FITTING.get(metric, TOLD)[0]
    run = answered(metric, [asked, UNDEFINED[metric], UNDEFINED[metric]], asked.answer, "positive", "")
    assert [score.metrics[metric] for score in run.scores[1:]] == [None, None]
    assert run.mean(metric) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", UNDEFINED)
def test_a_failed_call_about_which_nobody_could_be_right_or_wrong_is_left_out_too(metric: str) -> None:
    asked = FITTING.get(metric, TOLD)[0]
    run = answered(metric, [asked, UNDEFINED[metric], UNDEFINED[metric]], asked.answer, "positive", None)
    assert [value_of(score, metric) for score in run.scores[1:]] == [None, None]
    assert run.mean(metric) == pytest.approx(1.0)


def test_only_metrics_that_compare_any_two_texts_are_always_defined() -> None:
    assert set(METRIC_NAMES) - UNDEFINED.keys() == {"exact_match", "macro_f1", "chrf"}
