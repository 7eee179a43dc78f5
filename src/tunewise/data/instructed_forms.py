"""The form of the answers to each instruction, as a file may hold several tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.forms import AnswerForm, infer_answer_form
from tunewise.records import Example

MIN_ROWS_OF_INSTRUCTION = 50
"""From which the rows of one instruction show a form of their own; fewer are held to the whole file's."""


@dataclass(frozen=True, slots=True)
class InstructedForms:
    """What was inferred from some examples. A form is None where there were too few to tell."""

    overall: AnswerForm | None
    """Of all answers together."""
    by_instruction: Mapping[str | None, AnswerForm | None]
    """Of those instructions that have rows enough."""

    def form_for(self, instruction: str | None) -> AnswerForm | None:
        """That of the instruction, or else the overall one."""
        return self.by_instruction.get(instruction, self.overall)


def infer_forms(examples: Sequence[Example]) -> InstructedForms:
    """The forms of the answers of `examples`; other examples can be held to them."""
    by_instruction: dict[str | None, list[Example]] = {}
    for example in examples:
        by_instruction.setdefault(example.instruction, []).append(example)
    overall = _infer(examples)
    if len(by_instruction) == 1:  # Most files have one task, and inferring it once is enough.
        return InstructedForms(overall, {})
    large = {i: rows for i, rows in by_instruction.items() if len(rows) >= MIN_ROWS_OF_INSTRUCTION}
    return InstructedForms(overall, {instruction: _infer(rows) for instruction, rows in large.items()})


def _infer(examples: Sequence[Example]) -> AnswerForm | None:
    return infer_answer_form([example.answer for example in examples])
