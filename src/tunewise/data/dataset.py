"""The user's file as the run sees it: read, with exact duplicates removed, identified by its hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunewise.data.duplicates import remove_exact_duplicates
from tunewise.data.sources import read_examples
from tunewise.records import Example
from tunewise.store.files import sha256_of_file


@dataclass(frozen=True, slots=True)
class Dataset:
    """Usable, distinct examples of one file."""

    path: Path
    sha256: str
    """Of the file's bytes."""
    examples: tuple[Example, ...]
    num_rows: int
    num_duplicates: int

    def describe(self) -> str:
        """One line for the terminal."""
        dropped = f"; {self.num_duplicates} exact duplicates removed" if self.num_duplicates else ""
        return f"{self.path}: {self.num_rows} rows, {len(self.examples)} different examples{dropped}"


def read_dataset(path: Path, group_key: str | None = None) -> Dataset:
    """Read and check `path`. Raises `DataError` with the line of the first row that cannot be used."""
    rows = read_examples(path, group_key)
    examples, dropped = remove_exact_duplicates(rows)
    return Dataset(path, sha256_of_file(path), tuple(examples), len(rows), len(dropped))
