"""The user's files as the run sees them: read, without duplicates, in groups, named by their hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tunewise.data.duplicates import key_of, remove_exact_duplicates, remove_respaced
from tunewise.data.formats.folder import HUB_PREFIX, cached_hub_files
from tunewise.data.near_duplicates import find_near_duplicates
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
    """Rows that an earlier one repeats: word for word, or in other spacing."""
    num_respaced: int
    """Those of them in other spacing."""
    repeated: RepeatedInputs
    """Before duplicates were removed."""
    given: Mapping[str, GivenSide] = field(default_factory=dict)
    """By "validation" and "test"."""
    leaked_lines: tuple[int, ...] = ()
    """Of rows left out because a given side holds their input, a near duplicate of it or their group."""

    @property
    def given_examples(self) -> dict[str, tuple[Example, ...]]:
        """The sides that are taken as they are."""
        return {side: given.examples for side, given in self.given.items()}

    @property
    def own_system(self) -> bool:
        """Whether system messages are a part of the inputs."""
        return self.examples[0].own_system

    def describe(self) -> str:
        """One line for the terminal."""
        exact = self.num_duplicates - self.num_respaced
        dropped = f"; {exact} exact duplicate{'s' * (exact != 1)} removed" if exact else ""
        if self.num_respaced:
            repeat = "repeats" if self.num_respaced == 1 else "repeat"
            dropped += f"; {self.num_respaced} removed that {repeat} another row in other spacing"
        if self.leaked_lines:
            lines = ", ".join(map(str, self.leaked_lines[:5])) + (", ..." if self.leaked_lines[5:] else "")
            rows = "row" if len(self.leaked_lines) == 1 else "rows"
            dropped += (
                f"; {len(self.leaked_lines)} {rows} left out because the given {' or '.join(self.given)} "
                f"file holds their input, a near duplicate of it or their group (lines {lines})"
            )
        if self.own_system:
            dropped += "; their system messages differ, so each is kept as a part of its row's input"
        return f"{self.path}: {self.num_rows} rows, {len(self.examples)} different examples{dropped}"


def read_dataset(
    path: Path,
    group_key: str | None = None,
    given: Mapping[str, Path] | None = None,
    reading: Reading = AS_THE_FILE_SAYS,
    own_system: bool | None = None,
) -> Dataset:
    """Read and check `path`, and the files `given` as "validation" and "test".

    Given sides are taken as they are, and rows of `path` that tell of theirs left out, see `_find_leaked`.
    Examples come in the groups of `group_siblings`, over all files. `own_system` says whether system messages
    are a part of the inputs; by default they are, in every file, where those of `path` vary.
    Raises `DataError` with the line of the first row that cannot be used, or that two given files share.
    """
    rows = read_examples(path, group_key, reading, own_system)
    own_system = rows[0].own_system
    different, repeated = remove_exact_duplicates(rows)
    examples, respaced = remove_respaced(different)
    sides = {side: _read_given(file, group_key, reading, own_system) for side, file in (given or {}).items()}
    _refuse_shared(sides)
    held_out = [row for side in sides.values() for row in side.examples]
    leaked = _find_leaked(different, held_out) if held_out else set()
    usable = [row for row in examples if row.id not in leaked]
    if not usable:
        raise DataError(
            path,
            f"every row of it stands in the given {' or '.join(sides)} file, too, or nearly, or shares a "
            "group with it: give other rows to train on",
        )
    grouped = group_siblings([*usable, *held_out])
    ends = list(accumulate([len(usable), *(len(side.examples) for side in sides.values())]))
    parts = {name: tuple(grouped[start:end]) for name, start, end in zip(sides, ends, ends[1:], strict=False)}
    return Dataset(
        path,
        sha256_of_data(path),
        tuple(grouped[: len(usable)]),
        len(rows),
        len(repeated) + len(respaced),
        len(respaced),
        find_repeated_inputs(rows),
        {name: replace(side, examples=parts[name]) for name, side in sides.items()},
        tuple(row.line for row in rows if row.id in leaked),
    )


def _read_given(path: Path, group_key: str | None, reading: Reading, own_system: bool) -> GivenSide:
    examples, _ = remove_exact_duplicates(read_examples(path, group_key, reading, own_system))
    return GivenSide(path, sha256_of_data(path), tuple(examples))


def _find_leaked(examples: Sequence[Example], held_out: Sequence[Example]) -> set[str]:
    """Ids of the examples that share an input or a group with a held-out row, or are its near duplicates.

    Near duplicates are followed from one to the next, as crowds of them are not paired in full. Rows that
    only share a template stay: without them, a file set aside from the same source left little to train on.
    """
    rows = [*examples, *held_out]
    pairs = np.array([(pair.first, pair.second) for pair in find_near_duplicates(rows)]).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    _, components = connected_components(links, directed=False)
    traits = [
        (key_of(row), row.group, int(component)) for row, component in zip(rows, components, strict=True)
    ]
    inputs, groups, near = (set(held) for held in zip(*traits[len(examples) :], strict=True))
    return {
        example.id
        for example, (key, group, component) in zip(examples, traits, strict=False)
        if key in inputs or group in groups or component in near
    }


def _refuse_shared(sides: Mapping[str, GivenSide]) -> None:
    held: dict[str, tuple[Path, int]] = {}
    for side in sides.values():
        for row in side.examples:
            path, line = held.setdefault(key_of(row), (side.path, row.line))
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
