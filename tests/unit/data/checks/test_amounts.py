from __future__ import annotations

import pytest

from check_samples import data_of, find, support_rows
from tunewise.data.checks.amounts import TooFew


@pytest.mark.parametrize(
    ("count", "severity"), [(0, "error"), (9, "error"), (10, "warning"), (49, "warning")]
)
def test_few_examples_are_a_warning_and_a_handful_an_error(count: int, severity: str) -> None:
    problem = find(TooFew(), data_of(support_rows(count)))
    assert problem is not None
    assert problem.severity == severity
    assert problem.message.startswith(f"{count} ")


def test_fifty_different_ones_are_enough_and_repetitions_do_not_count() -> None:
    assert find(TooFew(), data_of(support_rows(50))) is None
    assert find(TooFew(), data_of(support_rows(25) * 2)) is not None
