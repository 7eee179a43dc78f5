"""What a finished run left in its folder, read back: all that a verdict is made of, and every answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tunewise.decide.measurements import Findings
from tunewise.errors import RunFolderError
from tunewise.evaluate.runner import ScoredRun, group_by_approach
from tunewise.records import Score
from tunewise.store.run_folder import MANIFEST_FILE, SCORES_FILE


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One run."""

    folder: Path
    manifest: Mapping[str, Any]
    findings: Findings
    runs: Mapping[str, ScoredRun]
    """The test answers, by approach."""
    forced: bool


def read_finished_run(folder: Path) -> FinishedRun:
    """Raises `RunFolderError` for a folder that holds no finished run, or whose files do not fit together."""
    manifest = _parse_manifest(folder / MANIFEST_FILE)
    try:
        findings = _FINDINGS.validate_python(manifest["findings"])
        seconds = _SECONDS.validate_python(manifest["test_seconds"])
        forced = bool(manifest["spec"]["force"])
    except (KeyError, TypeError) as error:
        raise RunFolderError(
            f"{folder / MANIFEST_FILE} lacks {error}, which verdicts are made of: training alone left it, or "
            "an older version; do `tunewise run`"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise RunFolderError(f"{folder / MANIFEST_FILE}: {place}: {first['msg']}: run it again") from error
    runs = _match_with_times(_parse_scores(folder / SCORES_FILE), seconds, folder)
    return FinishedRun(folder, manifest, findings, runs, forced)


_FINDINGS = TypeAdapter(Findings)
_SECONDS = TypeAdapter(dict[str, float])
_SCORE = TypeAdapter(Score)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise RunFolderError(f"{file} cannot be read ({error.strerror}): give a finished run") from error
    except UnicodeDecodeError as error:
        raise RunFolderError(f"{file} is no UTF-8 text: run it again") from error


def _parse_manifest(file: Path) -> Mapping[str, Any]:
    text = _read(file)
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise RunFolderError(f"{file} is no JSON ({error}): run it again") from error
    if not isinstance(manifest, Mapping):
        raise RunFolderError(f"{file} holds no JSON object: run it again")
    return manifest


def _parse_scores(file: Path) -> Iterator[Score]:
    for number, line in enumerate(_read(file).split("\n"), start=1):
        if line:
            try:
                yield _SCORE.validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(map(str, first["loc"]))
                raise RunFolderError(f"{file}:{number}: {place} {first['msg']}: run it again") from error


def _match_with_times(
    scores: Iterator[Score], seconds: Mapping[str, float], folder: Path
) -> dict[str, ScoredRun]:
    by_approach = group_by_approach(scores)
    strange = sorted(by_approach.keys() ^ seconds.keys())
    if strange or not by_approach:
        which = ", ".join(strange) or "no approach"
        raise RunFolderError(
            f"{folder / SCORES_FILE} and {MANIFEST_FILE} are not of the same run ({which}): run it again"
        )
    examples = {name: sorted(score.example_id for score in own) for name, own in by_approach.items()}
    first = next(iter(examples))
    if odd := next((name for name in examples if examples[name] != examples[first]), None):
        raise RunFolderError(
            f"{folder / SCORES_FILE}: {odd} and {first} were not asked about the same examples: run it again"
        )
    return {name: ScoredRun(tuple(by_approach[name]), seconds[name]) for name in by_approach}
