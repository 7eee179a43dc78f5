"""All checks, in the order of the table in `docs/checks.md`. A new one is a file here and a line below."""

from __future__ import annotations

from tunewise.data.checks.base import Check
from tunewise.data.checks.exact_duplicates import ExactDuplicates
from tunewise.data.checks.near_duplicates import NearDuplicates
from tunewise.data.checks.split_leak import SplitLeak

ALL_CHECKS: tuple[Check, ...] = (ExactDuplicates(), NearDuplicates(), SplitLeak())
