from __future__ import annotations

from pathlib import Path

import pytest

from check_samples import data_of, find, support_rows
from tunewise.data.checks.amounts import TooFew
from tunewise.data.checks.base import CheckedData
from tunewise.data.sources import RejectedRow


@pytest.mark.parametrize(
    ("count", "severity"), [(1, "error"), (9, "error"), (10, "warning"), (49, "warning")]
)
def test_few_examples_are_a_warning_and_a_handful_an_error(count: int, severity: str) -> None:
    problem = find(TooFew(), data_of(support_rows(count)))
    assert problem is not None
    assert problem.severity == severity
    assert problem.message.startswith(f"{count} ")


def test_fifty_different_ones_are_enough_and_repetitions_do_not_count() -> None:
    assert find(TooFew(), data_of(support_rows(50))) is None
    assert find(TooFew(), data_of(support_rows(25) * 2)) is not None


def test_a_file_without_rows_is_told_from_one_whose_rows_are_unusable() -> None:
    empty = find(TooFew(), data_of([]))
    assert empty is not None
    assert empty.severity == "error"
    assert empty.message.startswith("there are no rows")
    unusable = find(TooFew(), CheckedData(Path("data.jsonl"), (), (RejectedRow(1, "malformed", "not JSON"),)))
    assert unusable is not None
    assert unusable.message.startswith("0 usable examples")
