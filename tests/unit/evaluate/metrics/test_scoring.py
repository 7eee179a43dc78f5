from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metric_samples import COUNTED, LABELLED, NAMED, PRICED, TOLD, asked
from tunewise.errors import SpecError
from tunewise.evaluate.metrics.label_sets import SET_METRICS
from tunewise.evaluate.metrics.scoring import METRIC_NAMES, METRICS, choose_scoring
from tunewise.records import Example
from tunewise.report.tables import METRIC_TITLES as TITLES

SETS = [LABELLED, PRICED, COUNTED, NAMED, TOLD]


@pytest.mark.parametrize(
    ("train", "metrics"),
    [
        (PRICED, ["exact_match", "json_field_accuracy", "json_validity"]),
        (LABELLED, ["exact_match", "macro_f1"]),
        (COUNTED, ["exact_match", "numeric_match"]),
        (NAMED, ["exact_match", "contains_answer", "chrf"]),
        (TOLD, ["chrf", "rouge_l", "exact_match"]),
    ],
)
def test_the_metrics_are_those_that_fit_the_answers(train: list[Example], metrics: list[str]) -> None:
    assert list(choose_scoring(train).metrics) == [*metrics, "knowing", "form"]


def test_a_few_deviant_answers_do_not_change_what_the_others_are() -> None:
    assert "json_validity" in choose_scoring([*PRICED[:27], *asked(["n/a"] * 3)]).metrics
    assert choose_scoring(PRICED[:4]).primary == "exact_match"


@pytest.mark.parametrize("train", SETS)
def test_the_expected_answer_is_right_by_every_metric_that_is_defined(train: list[Example]) -> None:
    scoring = choose_scoring(train)
    for example in train:
        for value in scoring.score(example.answer, example).values():
            assert value is None or value == pytest.approx(1.0)


def test_the_metric_that_was_asked_for_decides_and_the_others_stay() -> None:
    scoring = choose_scoring(PRICED, "json_field_accuracy")
    assert scoring.primary == "json_field_accuracy"
    assert scoring.metrics.keys() == choose_scoring(PRICED).metrics.keys()
    assert choose_scoring(LABELLED, "chrf").primary == "chrf"


@pytest.mark.parametrize(
    ("train", "asked_for", "told"),
    [
        (LABELLED, "accuracy", "unknown metric 'accuracy': choose from exact_match, .*module.py:function"),
        (LABELLED, "score.py", "unknown metric"),
        (LABELLED, "json_validity", "undefined for all answers here, which are labels"),
        (PRICED, "macro_f1", "is for labels, and answers here are JSON"),
    ],
)
def test_a_metric_that_makes_no_sense_here_is_refused(
    train: list[Example], asked_for: str, told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        choose_scoring(train, asked_for)


def test_fenced_answers_are_right_by_the_metrics_that_they_are_given() -> None:
    for answer in ("```sql\nSELECT {};\n```", '```json\n{{"a": {}}}\n```'):
        fenced = asked(answer.format(n) for n in range(30))
        for name in (None, "exact_match"):
            scoring = choose_scoring(fenced, name)
            assert scoring.score(fenced[0].answer, fenced[0])[scoring.primary] == pytest.approx(1.0)


def test_dates_with_dots_are_no_numbers() -> None:
    dated = asked(f"{n % 28 + 1}.{n % 12 + 1}.2024" for n in range(60))
    assert choose_scoring(dated).answers == "short texts"


def test_every_metric_has_a_title_in_the_report_and_a_line_in_the_documentation() -> None:
    assert set(METRIC_NAMES) == set(TITLES)
    lines = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text("utf-8").splitlines()
    assert {line.split("`")[1] for line in lines if line.startswith("| `")} == set(METRIC_NAMES)
    assert METRICS.keys() >= SET_METRICS


EVERY = [choose_scoring(train) for train in SETS]


@given(st.text())
def test_no_answer_whatever_breaks_a_metric(answer: str) -> None:
    for scoring, train in zip(EVERY, SETS, strict=True):
        for value in scoring.score(answer, train[0]).values():
            assert value is None or 0 <= value <= 1 + 1e-9


def test_a_thousand_answers_are_scored_in_seconds() -> None:
    choose_scoring(TOLD).score("warm", TOLD[0])  # imports what the first call needs
    started = time.process_time()
    for train in SETS:
        scoring = choose_scoring(train)
        for number in range(1000):
            scoring.score(
                f"I think it is {number}, as the shop on the corner said.", train[number % len(train)]
            )
    assert time.process_time() - started < 10


def test_choosing_metrics_imports_nothing_heavy() -> None:
    code = "import sys, tunewise.evaluate.metrics.scoring; print(*(m for m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "transformers", "sacrebleu", "scipy", "numpy"}.isdisjoint(loaded)
