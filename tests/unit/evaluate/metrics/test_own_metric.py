from __future__ import annotations

from pathlib import Path

import pytest

from metric_samples import LABELLED
from tunewise.errors import SpecError
from tunewise.evaluate.metrics.own import load_metric
from tunewise.evaluate.metrics.scoring import choose_scoring

GOOD = """
from dataclasses import dataclass

@dataclass
class Rule:
    tolerant: bool

def same_initial(answer: str, expected: str) -> bool | None:
    return None if expected == "neutral" else answer[:1] == expected[:1]
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(source: str, function: str = "judge") -> str:
        file = tmp_path / "score.py"
        file.write_text(source, "utf-8")
        return f"{file}:{function}"

    return write


def test_a_function_of_the_users_decides_under_its_own_name(write) -> None:
    scoring = choose_scoring(LABELLED, write(GOOD, "same_initial"))
    assert scoring.primary == "same_initial"
    assert "exact_match" in scoring.metrics
    values = [scoring.score("nope", example)["same_initial"] for example in LABELLED[:3]]
    assert values == [0.0, 1.0, None]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "return 7",
            r"returned 7 for the answer 'positive' where line 1 expects 'positive': return a number",
        ),
        ("return 'yes'", "returned 'yes'"),
        ("raise SystemExit", "line 2, raised SystemExit for the answer 'positive'"),
        ("import numpy; return numpy.ones(2)", "raised TypeError"),
        ("return float('nan')", "returned nan"),
        ("return -0.1", r"returned -0\.1"),
        ("return 1 / len(answer)", r"line 2, raised ZeroDivisionError: division by zero for the answer ''"),
        ("return json.loads(answer)", "NameError"),
    ],
)
def test_what_goes_wrong_is_told_with_its_example_before_anything_is_asked(
    write, body: str, told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        choose_scoring(LABELLED, write(f"def judge(answer, expected):\n    {body}\n"))


def test_a_function_that_calls_the_expected_answer_less_than_right_is_refused(write) -> None:
    unfair = write("def judge(answer, expected): return 1.0 if answer + '!' == expected else 0.25")
    with pytest.raises(SpecError, match=r"judge gives the expected answer of line 1 itself 0\.25"):
        choose_scoring(LABELLED, unfair)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def judge(answer", "cannot be loaded: SyntaxError"),
        ("import nothing_of_this_name", "cannot be loaded: ModuleNotFoundError"),
        ("raise SystemExit(2)", "cannot be loaded: SystemExit: 2"),
        ("def rate(answer, expected): return 1.0", "has no function 'judge': it has rate"),
        ("judge = 5", "has no function 'judge': it has none"),
    ],
)
def test_a_file_without_the_function_is_refused_with_what_it_has(write, source: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        load_metric(write(source))


def test_a_file_that_was_changed_is_read_again(write) -> None:
    values = []
    for value in (0.5, 0.6):
        metric = load_metric(write(f"def judge(answer, expected): return {value}"))
        values.append(metric("any", LABELLED[0]))
    assert values == [0.5, 0.6]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SpecError, match=r"nowhere\.py: there is no such file"):
        load_metric("nowhere.py:judge")


def test_the_name_of_a_metric_that_there_is_cannot_be_taken(write) -> None:
    with pytest.raises(SpecError, match="exact_match is the name of a metric already"):
        choose_scoring(LABELLED, write("def exact_match(answer, expected): return True", "exact_match"))
