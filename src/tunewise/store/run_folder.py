"""A run's folder: whose it is, what is finished, and that only one process writes there at a time.

Each stage leaves its result as one file under `stages/`, written whole. A run that is started again finds
them and goes on after the last one; a different run is refused the folder.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO
from urllib.parse import quote, unquote

from tunewise.errors import RunFolderError
from tunewise.store.files import TEMPORARY, read_json, read_jsonl, write_json

IDENTITY_FILE = "run.json"
SCORES_FILE = "scores.jsonl"
MANIFEST_FILE = "manifest.json"
LOCK_FILE = ".lock"
TEST_READS_FILE = "test_reads.jsonl"
_STAGES = "stages"


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage left, and what it cost."""

    value: Any
    seconds: float
    resumed: bool
    """Whether an earlier, interrupted run had finished it."""


def is_finished(path: Path, stage: str) -> bool:
    """Whether the run folder at `path`, whoever's it is, keeps the result of this stage."""
    return _stage_file(path, stage).is_file()


def _stage_file(path: Path, stage: str) -> Path:
    """Approaches are named after models, whose ids may hold slashes."""
    return path / _STAGES / f"{quote(stage, safe='')}.json"


def is_in_use(path: Path) -> bool:
    """Whether a process holds this run folder now."""
    try:
        with (path / LOCK_FILE).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class RunFolder:
    """Holds the folder open, and locked, for one run. Use it as a context manager."""

    def __init__(
        self, path: Path, identity: Mapping[str, Any], names: Mapping[str, str] | None = None
    ) -> None:
        """Claim `path` for the run that `identity` (flat, JSON values) describes.

        `names` says what errors call a part of the identity, where that is not its key.

        Raises `RunFolderError` when the folder belongs to another run (naming what differs), holds other
        files, is in use, or cannot be written.
        """
        self.path = path
        try:
            if path.is_file():
                raise RunFolderError(f"{path} is a file: give a folder as --out")
            path.mkdir(parents=True, exist_ok=True)
            self._refuse_other_files()
            self._lock = self._acquire()
        except OSError as error:
            if isinstance(error, RunFolderError):
                raise
            raise RunFolderError(f"cannot write to the run folder {path}: {error.strerror}") from error
        try:
            self._claim(dict(identity), names or {})
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def stage(self, name: str, compute: Callable[[], Any]) -> StageResult:
        """The stage's result (JSON values): read back if it is there, else computed and kept."""
        file = _stage_file(self.path, name)
        if file.is_file():
            kept = read_json(file)
            return StageResult(kept["value"], kept["seconds"], resumed=True)
        started = time.perf_counter()
        value = compute()
        seconds = time.perf_counter() - started
        write_json(file, {"seconds": seconds, "value": value})
        return StageResult(value, seconds, resumed=False)

    def timings(self) -> dict[str, float]:
        """Seconds that each finished stage took, in the order they finished."""
        files = sorted((self.path / _STAGES).glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        return {unquote(file.stem): round(read_json(file)["seconds"], 3) for file in files}

    def log_test_read(self, purpose: str, at: float) -> None:
        """Keep for good that the sealed test set was read; `at` in unix seconds."""
        with (self.path / TEST_READS_FILE).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"purpose": purpose, "at": at}) + "\n")

    def test_reads(self) -> list[dict[str, Any]]:
        """Every read of the test set in this run, also by earlier attempts."""
        return read_jsonl(self.path / TEST_READS_FILE)

    def _acquire(self) -> TextIO:
        lock = (self.path / LOCK_FILE).open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise RunFolderError(
                f"another run is using {self.path}: wait for it, or give another --out"
            ) from None
        return lock

    def _refuse_other_files(self) -> None:
        names = sorted(path.name for path in self.path.iterdir())
        # A run that was killed as it began leaves no more than these.
        others = [name for name in names if name != LOCK_FILE and not name.endswith(TEMPORARY)]
        if IDENTITY_FILE not in names and others:
            raise RunFolderError(
                f"{self.path} holds other files ({others[0]}): give an empty folder as --out"
            )

    def _claim(self, identity: dict[str, Any], names: Mapping[str, str]) -> None:
        file = self.path / IDENTITY_FILE
        if not file.is_file():
            write_json(file, identity)
            return
        differences = describe_differences(read_json(file), identity, names)
        if differences:
            raise RunFolderError(f"{self.path} belongs to another run ({differences}): give another --out")


def describe_differences(
    before: Mapping[str, Any], now: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> str:
    """`seed was 0, is 1; ...` for two identities; empty where they are equal."""
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    return "; ".join(
        f"{(names or {}).get(key, key)} was {_short(before.get(key))}, is {_short(now.get(key))}"
        for key in changed
    )


def _short(value: Any) -> str:
    """A value as an error can show it: hashes and long texts by their beginning."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:16]}…"
