"""Near duplicates and leaks between files are named by line."""

from pathlib import Path

from tunewise.data.checks.base import CheckedData
from tunewise.data.checks.near_duplicates import NearDuplicates
from tunewise.data.checks.split_leak import SplitLeak
from tunewise.data.duplicates import example_id
from tunewise.records import Example, Message

TEXTS = [
    "the invoice for march was paid twice",
    "a parcel came without its label",
    "who can reset my old password",
    "our office moves to another town",
]


def rows(*texts):
    made = []
    for line, text in enumerate(texts, start=1):
        messages = (Message("user", text), Message("assistant", "noted"))
        made.append(Example(example_id(messages), messages, line, text))
    return made


def test_lines_that_are_nearly_another_one_are_named_with_what_differs():
    data = CheckedData(Path("x.jsonl"), rows(*TEXTS, "a parcel came without its labels"))
    (problem,) = NearDuplicates().find(data)
    assert (problem.code, problem.severity, problem.lines) == ("near-duplicate", "warning", (2, 5))
    assert "lines 2 and 5: 'label' stands for 'labels'" in problem.message
    assert problem.examined is None


def test_a_line_in_other_spacing_is_said_to_be_used_once():
    data = CheckedData(Path("x.jsonl"), rows(*TEXTS, f"  {TEXTS[1].replace(' ', '  ')}"))
    (problem,) = NearDuplicates().find(data)
    assert "lines 2 and 5: only spacing differs, so a run uses the first" in problem.message
    data = CheckedData(Path("x.jsonl"), rows(*TEXTS, TEXTS[1].upper()))
    (problem,) = NearDuplicates().find(data)
    assert "lines 2 and 5: only case, spacing or punctuation differ" in problem.message


def test_different_lines_and_exact_repetitions_are_not_near_duplicates():
    assert not list(NearDuplicates().find(CheckedData(Path("x.jsonl"), rows(*TEXTS, TEXTS[0]))))


def test_a_row_of_a_given_side_is_an_error_and_nearly_one_a_warning():
    test = rows("Our office moves to another town!", "the invoice for march was payed twice")
    data = CheckedData(Path("x.jsonl"), rows(*TEXTS), given_splits={"test": test})
    same, near = SplitLeak().find(data)
    assert (same.code, same.severity, same.lines) == ("split-leak", "error", (4,))
    assert "training line 4 and test line 1" in same.message
    assert (near.severity, near.lines) == ("warning", (1,))
    assert "training line 1 and test line 2" in near.message


def test_given_sides_are_held_against_each_other_too():
    given = {"validation": rows("fresh row one"), "test": rows("another here", "fresh row one")}
    (problem,) = SplitLeak().find(CheckedData(Path("x.jsonl"), rows(*TEXTS), given_splits=given))
    assert "validation line 1 and test line 2" in problem.message


def test_sides_that_share_nothing_are_fine():
    data = CheckedData(Path("x.jsonl"), rows(*TEXTS), given_splits={"test": rows("quite another matter")})
    assert not list(SplitLeak().find(data))
