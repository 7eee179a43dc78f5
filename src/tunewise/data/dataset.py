"""The user's file as the run sees it: read, with exact duplicates removed, identified by its hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tunewise.data.duplicates import remove_exact_duplicates
from tunewise.data.formats.folder import HUB_PREFIX, cached_hub_files
from tunewise.data.reading import Reading
from tunewise.data.sources import AS_THE_FILE_SAYS, read_examples
from tunewise.records import Example
from tunewise.store.files import sha256_of_file, sha256_of_files


@dataclass(frozen=True, slots=True)
class Dataset:
    """Usable, distinct examples of one file."""

    path: Path
    sha256: str
    """What `sha256_of_data` says."""
    examples: tuple[Example, ...]
    num_rows: int
    num_duplicates: int

    def describe(self) -> str:
        """One line for the terminal."""
        dropped = f"; {self.num_duplicates} exact duplicates removed" if self.num_duplicates else ""
        return f"{self.path}: {self.num_rows} rows, {len(self.examples)} different examples{dropped}"


def read_dataset(path: Path, group_key: str | None = None, reading: Reading = AS_THE_FILE_SAYS) -> Dataset:
    """Read and check `path`. Raises `DataError` with the line of the first row that cannot be used."""
    rows = read_examples(path, group_key, reading)
    examples, dropped = remove_exact_duplicates(rows)
    return Dataset(path, sha256_of_data(path), tuple(examples), len(rows), len(dropped))


def sha256_of_data(path: Path) -> str:
    """Of a file's bytes as they are stored; of a folder, or of a data set from the hub, over all its files.

    Raises OSError, or `DataError` where the hub does not give it.
    """
    if str(path).startswith(HUB_PREFIX):
        return sha256_of_files(cached_hub_files(path))
    if path.is_dir():
        return sha256_of_files(file for file in path.rglob("*") if file.is_file())
    return sha256_of_file(path)
