"""A review of rows by hand: which question comes next, and what becomes of each row. No terminal here.

A question shows the rows of one problem that belong together: those with the same input, or one row alone.
Every row of it has to be decided. A decision is kept under the problem's code and the row's line, so that it
is found again whichever questions there are the next time. One row may be in several questions: what was
decided last counts, and a row that was dropped is not asked about again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tunewise.data.checks.base import Problem
from tunewise.data.clean_file import RevisedRow, RowChange, drop_row, excerpts, write_row
from tunewise.data.row_problems import RowProblem, check_text
from tunewise.data.same_inputs import input_of
from tunewise.data.source_rows import SourceRow
from tunewise.errors import RequestError
from tunewise.records import Example
from tunewise.store.files import read_json, write_json

Action = Literal["keep", "drop", "edit"]


@dataclass(frozen=True, slots=True)
class Question:
    """Rows to be looked at side by side, and why."""

    code: str
    message: str
    rows: tuple[Example, ...]


class Decision(BaseModel):
    """What becomes of one row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    line: int
    action: Action
    answer: str | None = None
    """What the answer is to be, if it is edited."""


class Decisions(BaseModel):
    """What the file of decisions holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_sha256: str
    """Of the file that was reviewed: line numbers mean nothing in another."""
    decisions: tuple[Decision, ...] = ()
    """In the order in which they were made."""


def list_questions(problems: Iterable[Problem], examples: Iterable[Example]) -> list[Question]:
    """The questions that problems give rise to. Lines that are no examples are left out."""
    by_line = {example.line: example for example in examples}
    questions: list[Question] = []
    for problem in problems:
        together: dict[tuple[object, ...], list[Example]] = {}
        for line in problem.lines:
            if line in by_line:
                together.setdefault(input_of(by_line[line]), []).append(by_line[line])
        questions += [Question(problem.code, problem.message, tuple(rows)) for rows in together.values()]
    return questions


class Review:
    """The questions, what was decided, and where one is. Every step is a method; none of them prints."""

    def __init__(self, questions: Sequence[Question], decisions: Iterable[Decision] = ()) -> None:
        self.questions = questions
        self._by_line: dict[int, dict[str, Decision]] = {}
        for decision in decisions:
            self._by_line.setdefault(decision.line, {})[decision.code] = decision
        self._skipped: set[int] = set()
        self._position = self._next_open()
        before = enumerate(questions[: self._position])
        self._visited = [place for place, question in before if self._has_decision(question)]

    @property
    def question(self) -> Question | None:
        """What to ask now; None at the end."""
        if self._position is None:
            return None
        question = self.questions[self._position]
        return replace(question, rows=tuple(self._rows_of(question)))

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All that was decided."""
        return tuple(decision for line in self._by_line.values() for decision in line.values())

    @property
    def num_open(self) -> int:
        """Questions without an answer, skipped ones included."""
        return sum(map(self._is_open, self.questions))

    def decision(self, row: Example) -> Decision | None:
        """What was decided about a row of the present question."""
        return self._by_line.get(row.line, {}).get(self._present.code)

    def answer(self, row: Example) -> str:
        """The row's answer as it is by now."""
        edits = [each.answer for each in self._by_line.get(row.line, {}).values() if each.answer is not None]
        return edits[-1] if edits else row.answer

    def undecided(self) -> tuple[Example, ...]:
        """The rows of the present question that nothing was said about yet."""
        return tuple(row for row in self._rows_of(self._present) if self.decision(row) is None)

    def keep(self, rows: Iterable[Example]) -> None:
        """Leave them as they are."""
        self._decide(rows, "keep")

    def drop(self, rows: Iterable[Example]) -> None:
        """Take them out."""
        self._decide(rows, "drop")

    def edit(self, row: Example, answer: str) -> None:
        """Give it another answer. Raises `RequestError` for one that nobody could be trained on."""
        _check_editable(row)
        try:
            check_text(answer, "the answer")
        except RowProblem as problem:
            raise RequestError(problem.reason) from None
        if not answer.strip():
            raise RequestError("an answer cannot be empty: drop the row instead")
        self._decide([row], "edit", answer)

    def answer_all_as(self, row: Example) -> None:
        """Give all rows of the question that stay the answer of this one. Raises `RequestError` as `edit`."""
        stay = [each for each in self._rows_of(self._present) if not _is_drop(self.decision(each))]
        answer = self.answer(row)
        for each in stay:
            _check_editable(each)
        for each in stay:
            if each.answer == self.answer(each) == answer:
                self._decide([each], "keep")
            else:
                self._decide([each], "edit", answer)

    def go_on(self) -> None:
        """To the next question, if nothing is left to say about this one."""
        if not self.undecided():
            self._move()

    def skip(self) -> None:
        """To the next question; this one is asked again the next time."""
        self._skipped.add(self.place)
        self._move()

    def back(self) -> bool:
        """Undo what was decided about this question, or else the one before. False if there is nothing."""
        if self._position is not None and self._undo(self._present):
            return True
        if not self._visited:
            return False
        self._position = self._visited.pop()
        self._skipped.discard(self._position)
        self._undo(self._present)
        return True

    def revise(self, row: SourceRow) -> RevisedRow:
        """What becomes of a row of the file."""
        decided = list(self._by_line.get(row.line, {}).values())
        for decision in decided:
            if _is_drop(decision):
                return drop_row(row, decision.code)
        edits = [decision for decision in decided if decision.answer is not None]
        if edits and row.fields is not None:
            return _with_answer(row.line, row.fields, edits[-1])
        if row.text is None and row.problem is not None:
            hint = f"mend it, or leave such rows out first: tunewise check --drop {row.problem.code}"
            raise RequestError(f"line {row.line}: {row.problem.reason}; {hint}", param="data")
        return RevisedRow(row.text or write_row(row.fields or {}))

    @property
    def place(self) -> int:
        """Which question it is, counted from 0. Raises LookupError at the end."""
        if self._position is None:
            raise LookupError("the review is at its end")
        return self._position

    @property
    def _present(self) -> Question:
        return self.questions[self.place]

    def _rows_of(self, question: Question) -> Iterator[Example]:
        """Without those that another question dropped."""
        for row in question.rows:
            others = (each for code, each in self._by_line.get(row.line, {}).items() if code != question.code)
            if not any(map(_is_drop, others)):
                yield row

    def _undo(self, question: Question) -> bool:
        undone = [self._by_line.get(row.line, {}).pop(question.code, None) for row in question.rows]
        return any(undone)

    def _has_decision(self, question: Question) -> bool:
        return any(question.code in self._by_line.get(row.line, {}) for row in question.rows)

    def _is_open(self, question: Question) -> bool:
        return any(question.code not in self._by_line.get(row.line, {}) for row in self._rows_of(question))

    def _decide(self, rows: Iterable[Example], action: Action, answer: str | None = None) -> None:
        code = self._present.code
        for row in rows:
            of_row = self._by_line.setdefault(row.line, {})
            of_row.pop(code, None)  # What was said last counts, and so stands last.
            of_row[code] = Decision(code=code, line=row.line, action=action, answer=answer)

    def _move(self) -> None:
        self._visited.append(self.place)
        self._position = self._next_open()

    def _next_open(self) -> int | None:
        ahead = (i for i, each in enumerate(self.questions) if i not in self._skipped and self._is_open(each))
        return next(ahead, None)


def read_decisions(path: Path, data_sha256: str) -> tuple[Decision, ...]:
    """What was decided before; nothing where there is no such file.

    Raises `RequestError` for decisions about another file, and for what are none.
    """
    try:
        saved = Decisions.model_validate(read_json(path))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} holds no decisions of a review: remove it ({error})") from None
    if saved.data_sha256 != data_sha256:
        raise RequestError(f"{path} holds decisions about another state of the data: remove it to begin anew")
    return saved.decisions


def save_decisions(path: Path, data_sha256: str, decisions: tuple[Decision, ...]) -> None:
    """Write them, whole or not at all. Raises `RequestError` where they cannot be written."""
    try:
        write_json(path, Decisions(data_sha256=data_sha256, decisions=decisions).model_dump())
    except OSError as error:
        raise RequestError(f"{path}: cannot be written: {error.strerror or error}", param="out") from error


def _is_drop(decision: Decision | None) -> bool:
    return decision is not None and decision.action == "drop"


def _check_editable(row: Example) -> None:
    if row.messages[-1].tool_calls:
        raise RequestError(f"line {row.line} answers with a call, not with text: keep or drop it")


def _with_answer(line: int, fields: dict[str, Any], decision: Decision) -> RevisedRow:
    *prompt, turn = fields["messages"]
    where = f"messages[{len(prompt)}]"
    change = RowChange(line, decision.code, where, *excerpts(turn["content"], decision.answer or ""))
    turns = [*prompt, turn | {"content": decision.answer}]
    return RevisedRow(write_row(fields | {"messages": turns}), (change,))
