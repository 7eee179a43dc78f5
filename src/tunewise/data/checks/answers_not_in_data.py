"""Answers that are facts, which have to be looked up."""

from __future__ import annotations

from collections.abc import Iterator

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.split import MIN_TO_SPLIT

MANY = 0.25
"""Of what the answers say. Measured: 39% where they are facts, at most 7% where the prompt holds them."""
ENOUGH_EXAMINED = 0.5
"""Of the rows, below which what was found is not true of the file."""


class AnswersNotInData:
    """Content that stands neither in the prompts nor in the answers to other such prompts."""

    code = "answers-not-in-data"
    severity: Severity = "warning"
    cost: Cost = "costly"
    finds = "answers whose words and numbers stand only in documents, or nowhere"
    why = "Training teaches how to answer, not what is true: facts that the prompt lacks are made up."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """One problem about the file as a whole."""
        found = data.answer_sources
        if found is None or found.not_in_data < MANY or found.examined < ENOUGH_EXAMINED * found.rows:
            return
        if len({example.id for example in data.examples}) < MIN_TO_SPLIT:
            return  # No other answers that could say it, as `too-few` does.
        if data.documents:
            where = f"{found.documents:.0%} stands only in the documents, {found.nowhere:.0%} nowhere"
        else:
            where = "if documents hold it, --docs FOLDER shows so"
        yield Problem(
            self.code,
            self.severity,
            (),
            f"{found.not_in_data:.0%} of what the answers say stands neither in the prompts nor in answers "
            f"to other such prompts: {where}. These are facts, for retrieval rather than training",
            examined=found.rows if found.rows < len(data.examples) else None,
        )
