"""The user's files as the run sees them: read, without exact duplicates, in groups, named by their hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

from tunewise.data.duplicates import input_key, remove_exact_duplicates
from tunewise.data.formats.folder import HUB_PREFIX, cached_hub_files
from tunewise.data.reading import Reading
from tunewise.data.same_inputs import RepeatedInputs, find_repeated_inputs
from tunewise.data.siblings import group_siblings
from tunewise.data.sources import AS_THE_FILE_SAYS, read_examples
from tunewise.errors import DataError
from tunewise.records import Example
from tunewise.store.files import sha256_of_file, sha256_of_files


@dataclass(frozen=True, slots=True)
class GivenSide:
    """A file that the user set aside."""

    path: Path
    sha256: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Usable, distinct examples of one file, and of those set aside for validation and test."""

    path: Path
    sha256: str
    """What `sha256_of_data` says."""
    examples: tuple[Example, ...]
    num_rows: int
    num_duplicates: int
    repeated: RepeatedInputs
    """Before exact duplicates were removed."""
    given: Mapping[str, GivenSide] = field(default_factory=dict)
    """By "validation" and "test"."""
    leaked_lines: tuple[int, ...] = ()
    """Of rows left out because their input stands in a given side, too."""

    @property
    def given_examples(self) -> dict[str, tuple[Example, ...]]:
        """The sides that are taken as they are."""
        return {side: given.examples for side, given in self.given.items()}

    def describe(self) -> str:
        """One line for the terminal."""
        dropped = f"; {self.num_duplicates} exact duplicates removed" if self.num_duplicates else ""
        if self.leaked_lines:
            lines = ", ".join(map(str, self.leaked_lines[:5])) + (", ..." if self.leaked_lines[5:] else "")
            dropped += (
                f"; {len(self.leaked_lines)} removed that {' and '.join(self.given)} hold too (lines {lines})"
            )
        return f"{self.path}: {self.num_rows} rows, {len(self.examples)} different examples{dropped}"


def read_dataset(
    path: Path,
    group_key: str | None = None,
    given: Mapping[str, Path] | None = None,
    reading: Reading = AS_THE_FILE_SAYS,
) -> Dataset:
    """Read and check `path`, and the files `given` as "validation" and "test".

    Rows of `path` whose input is that of a given row but for case, spacing and punctuation are left out:
    given sides are taken as they are. Examples come in the groups of `group_siblings`, over all files.
    Raises `DataError` with the line of the first row that cannot be used, or that two given files share.
    """
    rows = read_examples(path, group_key, reading)
    examples, dropped = remove_exact_duplicates(rows)
    sides = {side: _read_given(file, group_key, reading) for side, file in (given or {}).items()}
    _refuse_shared(sides)
    held_out = {input_key(row.prompt) for side in sides.values() for row in side.examples}
    usable = [row for row in examples if not held_out or input_key(row.prompt) not in held_out]
    leaked = tuple(row.line for row in rows if held_out and input_key(row.prompt) in held_out)
    if not usable:
        raise DataError(
            path, f"every row of it stands in {' or '.join(sides)}, too: give other rows to train on"
        )
    grouped = group_siblings([*usable, *(row for side in sides.values() for row in side.examples)])
    ends = list(accumulate([len(usable), *(len(side.examples) for side in sides.values())]))
    parts = {name: tuple(grouped[start:end]) for name, start, end in zip(sides, ends, ends[1:], strict=False)}
    return Dataset(
        path,
        sha256_of_data(path),
        tuple(grouped[: len(usable)]),
        len(rows),
        len(dropped),
        find_repeated_inputs(rows),
        {name: replace(side, examples=parts[name]) for name, side in sides.items()},
        leaked,
    )


def _read_given(path: Path, group_key: str | None, reading: Reading) -> GivenSide:
    examples, _ = remove_exact_duplicates(read_examples(path, group_key, reading))
    return GivenSide(path, sha256_of_data(path), tuple(examples))


def _refuse_shared(sides: Mapping[str, GivenSide]) -> None:
    held: dict[str, tuple[Path, int]] = {}
    for side in sides.values():
        for row in side.examples:
            path, line = held.setdefault(input_key(row.prompt), (side.path, row.line))
            if path != side.path:
                raise DataError(
                    side.path,
                    f"its input stands in {path}:{line}, too: remove it here or there",
                    line=row.line,
                )


def sha256_of_data(path: Path) -> str:
    """Of a file's bytes as they are stored; of a folder, or of a data set from the hub, over all its files.

    Raises OSError, or `DataError` where the hub does not give it.
    """
    if str(path).startswith(HUB_PREFIX):
        return sha256_of_files(cached_hub_files(path))
    if path.is_dir():
        return sha256_of_files(file for file in path.rglob("*") if file.is_file())
    return sha256_of_file(path)
