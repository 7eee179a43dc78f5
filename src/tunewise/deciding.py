"""The decide stage alone: from the folder of a finished run to its verdict, without asking any model again.

`pipeline.py` decides by the same code, on the same scores and findings that are read back here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tunewise.decide.compare import compare
from tunewise.decide.verdict import decide
from tunewise.errors import RunFolderError
from tunewise.finished_run import FinishedRun, read_finished_run
from tunewise.records import Verdict


def decide_run(folder: Path, calls_per_month: float | None = None) -> Verdict:
    """The verdict on the scores in `folder`: that of its `verdict.json`, while files and rules are the same.

    `calls_per_month` stands in for what the run was told. Raises `RunFolderError` for a folder that holds no
    finished run, or one whose files do not fit each other.
    """
    run = read_finished_run(folder)
    if calls_per_month is not None:
        run = replace(run, findings=replace(run.findings, calls_per_month=calls_per_month))
    return decide_again(run)


def decide_again(run: FinishedRun) -> Verdict:
    """The verdict on what was read. Raises `RunFolderError` where scores and findings do not fit."""
    try:
        return decide(compare(run.runs, run.findings), forced=run.forced)
    except ValueError as error:
        raise RunFolderError(f"{run.folder}: scores and manifest do not fit: {error}") from error
