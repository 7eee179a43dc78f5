"""The first stage alone: everything that is wrong with a file of examples, named by line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tunewise.data.answer_sources import AnswerSources, find_answer_sources
from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import CheckedData, Problem
from tunewise.data.documents import read_documents
from tunewise.data.sources import scan_examples
from tunewise.progress import Progress, SilentProgress


class CheckSpec(BaseModel):
    """What decides what `tunewise check` finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    group_key: str | None = None
    docs: Path | None = None
    """A file or folder of documents that answers may come from."""
    seed: int = 0
    """Draws the samples of what takes too long on all rows."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found."""

    rows: int
    examples: int
    problems: tuple[Problem, ...]
    answer_sources: AnswerSources | None = None

    @property
    def sound(self) -> bool:
        """Whether one may train on the data as they are."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        problems = [asdict(problem) | {"count": problem.count} for problem in self.problems]
        found = {"rows": self.rows, "examples": self.examples, "problems": problems}
        return found | {"answer_sources": self.answer_sources and asdict(self.answer_sources)}


def check(spec: CheckSpec, progress: Progress | None = None) -> CheckReport:
    """Look at every row. Raises `DataError` where the file cannot be read at all."""
    progress = progress or SilentProgress()
    scan = scan_examples(spec.data, spec.group_key)
    documents = read_documents(spec.docs) if spec.docs else ()
    sources = find_answer_sources(scan.examples, documents, spec.seed)
    data = CheckedData(
        spec.data, scan.examples, scan.rejected, documents=documents, answer_sources=sources, seed=spec.seed
    )
    problems: list[Problem] = []
    with progress.task("checking", len(ALL_CHECKS)) as task:
        for each in ALL_CHECKS:
            problems += each.find(data)
            task.advance(note=each.code)
    num_different = len({example.id for example in scan.examples})
    return CheckReport(scan.num_rows, num_different, tuple(problems), sources)
