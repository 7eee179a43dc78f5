"""All checks, in the order of the table in `docs/checks.md`. A new one is a file here and a line below."""

from __future__ import annotations

from tunewise.data.checks.answers_not_in_data import AnswersNotInData
from tunewise.data.checks.base import Check
from tunewise.data.checks.contradictions import Contradictions
from tunewise.data.checks.exact_duplicates import ExactDuplicates
from tunewise.data.checks.format_drift import FormatDrift

ALL_CHECKS: tuple[Check, ...] = (ExactDuplicates(), Contradictions(), FormatDrift(), AnswersNotInData())
