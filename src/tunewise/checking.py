"""The first stage alone: everything that is wrong with a file of examples, named by line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import CheckedData, Problem
from tunewise.data.sources import scan_examples
from tunewise.progress import Progress, SilentProgress


class CheckSpec(BaseModel):
    """What decides what `tunewise check` finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    group_key: str | None = None
    validation: Path | None = None
    test: Path | None = None
    """Files set aside, which must share nothing with `data`."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found."""

    rows: int
    examples: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether one may train on the data as they are."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        problems = [asdict(problem) | {"count": problem.count} for problem in self.problems]
        return {"rows": self.rows, "examples": self.examples, "problems": problems}


def check(spec: CheckSpec, progress: Progress | None = None) -> CheckReport:
    """Look at every row. Raises `DataError` where the file cannot be read at all."""
    progress = progress or SilentProgress()
    scan = scan_examples(spec.data, spec.group_key)
    files = {"validation": spec.validation, "test": spec.test}
    given = {side: scan_examples(file, spec.group_key).examples for side, file in files.items() if file}
    data = CheckedData(spec.data, scan.examples, scan.rejected, given)
    problems: list[Problem] = []
    with progress.task("checking", len(ALL_CHECKS)) as task:
        for each in ALL_CHECKS:
            problems += each.find(data)
            task.advance(note=each.code)
    return CheckReport(scan.num_rows, len({example.id for example in scan.examples}), tuple(problems))
