"""What `tunewise check` does about problems without asking: fixes that need no guess, and rows to drop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ConfigDict

from tunewise.data.checks.base import Problem
from tunewise.data.clean_file import (
    CleanFile,
    RevisedRow,
    RowChange,
    drop_row,
    excerpts,
    write_clean_file,
    write_row,
)
from tunewise.data.conversations import parse_conversation
from tunewise.data.duplicates import example_id
from tunewise.data.fixes import DUPLICATE, FIXABLE_CODES, fix_turns
from tunewise.data.reading import Reading
from tunewise.data.row_problems import RowProblem, RowProblemCode
from tunewise.data.source_rows import SourceRow
from tunewise.data.sources import AS_THE_FILE_SAYS
from tunewise.errors import DataError, SpecError

UNUSABLE_CODES: tuple[str, ...] = get_args(RowProblemCode)
"""Of rows that are no examples, which nobody can train on, whatever they wish."""


def refuse_unknown_codes(asked: Iterable[str], known: Iterable[str]) -> None:
    """Raise `SpecError` for the code of a problem that there is not."""
    known = sorted(known)
    for code in asked:
        if code not in known:
            raise SpecError(f"there is no problem {code!r}: the codes are {', '.join(known)}")


class RepairSpec(BaseModel):
    """What `--fix`, `--drop` and `--keep` ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fix: bool = False
    drop: tuple[str, ...] = ()
    """Codes of problems whose rows go."""
    keep: tuple[str, ...] = ()
    """Codes of problems that are to stay, and are none in the user's eyes."""

    @property
    def writes(self) -> bool:
        """Whether there will be another file."""
        return self.fix or bool(self.drop)

    def check_codes(self, known: Iterable[str]) -> None:
        """Raise `SpecError` for codes that there are not, or that make no sense where they stand."""
        refuse_unknown_codes((*self.drop, *self.keep), known)
        if both := [code for code in self.drop if code in self.keep]:
            raise SpecError(f"{both[0]!r} is to be dropped and to be kept: choose one")
        if unusable := [code for code in self.keep if code in UNUSABLE_CODES]:
            raise SpecError(f"{unusable[0]!r} cannot be kept: no model can be trained on such rows")


def leave_alone(problems: Iterable[Problem], keep: Sequence[str]) -> tuple[Problem, ...]:
    """The same problems; those of the codes `keep` are no more than notes."""
    return tuple(replace(each, severity="note") if each.code in keep else each for each in problems)


def repair(
    data: Path,
    out: Path,
    problems: Iterable[Problem],
    spec: RepairSpec,
    reading: Reading = AS_THE_FILE_SAYS,
) -> CleanFile:
    """Write the rows of `data` to `out` as chat JSONL, as `spec` asks; `problems` are what was found in them.

    Raises `RequestError`, `DataError` or `SpecError` with nothing written.
    """
    drop = _lines_to_drop(problems, spec.drop)
    fixes = [code for code in FIXABLE_CODES if spec.fix and code not in spec.keep]
    return write_clean_file(data, out, _Repair(data, fixes, drop), reading)


def _lines_to_drop(problems: Iterable[Problem], codes: Sequence[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for problem in problems:
        if problem.code in codes:
            if not problem.lines:
                raise SpecError(f"{problem.code!r} is about the file as a whole: it has no rows to drop")
            for line in problem.lines:
                found.setdefault(line, problem.code)
    return found


class _Repair:
    """What becomes of each row; called with all of them, in file order.

    A row that cannot be used stays as it is, where it is chat JSONL: whoever does not want it drops it.
    """

    def __init__(self, data: Path, fixes: Sequence[str], drop: Mapping[int, str]) -> None:
        self._data = data
        self._fixes = fixes
        self._drop = drop
        self._first_lines: dict[str, int] = {}

    def __call__(self, row: SourceRow) -> RevisedRow:
        if row.line in self._drop:
            return drop_row(row, self._drop[row.line])
        try:
            return self._fix(row)
        except RowProblem as problem:
            if row.text is not None:
                return RevisedRow(row.text)
            hint = f"mend it, or leave such rows out with --drop {problem.code}"
            raise DataError(self._data, f"{problem.reason}; {hint}", line=row.line) from None

    def _fix(self, row: SourceRow) -> RevisedRow:
        if row.fields is None:
            raise row.problem or RowProblem("cannot be read")
        said = parse_conversation(row.fields)
        fields, mended = fix_turns(row.fields, self._fixes)
        if DUPLICATE in self._fixes:
            if mended:
                said = parse_conversation(fields)
            first = self._first_lines.setdefault(example_id(said.messages, said.tools), row.line)
            if first != row.line:
                return drop_row(row, DUPLICATE)
        changes = tuple(
            RowChange(row.line, each.code, each.where, *excerpts(each.before, each.after)) for each in mended
        )
        return RevisedRow(write_row(fields) if mended or not row.text else row.text, changes)
