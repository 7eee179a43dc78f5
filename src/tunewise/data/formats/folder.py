"""Folders of Arrow or Parquet files, as the `datasets` library saves and the Hugging Face hub keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.data.formats.base import NumberedRow
from tunewise.data.formats.data_file import DataFile
from tunewise.data.formats.parquet import Parquet, arrow_rows, one_line
from tunewise.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

HUB_PREFIX = "hf:"
_ROWS_AT_ONCE = 1024
_SPLIT_OF_NAME = re.compile(r"(train|validation|valid|val|dev|test|eval)(?![a-z])")


class Folder:
    """What `save_to_disk` wrote, or Parquet files, in the order of their names; rows are counted."""

    name = "folder"

    def recognises(self, file: DataFile) -> bool:
        """It is a folder."""
        return file.is_folder

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """Of one split; a folder with several is refused, as only the user knows which is which."""
        folder = file.path
        if any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return _numbered(_saved_dataset(folder))
        parts = sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))
        if not parts:
            raise DataError(
                folder,
                "is a folder without Parquet files that `datasets` did not save: give one of its files",
            )
        splits = {part: match[1] for part in parts if (match := _SPLIT_OF_NAME.match(part.name))}
        if len(set(splits.values())) > 1:
            raise DataError(
                folder,
                f"holds {', '.join(sorted(set(splits.values())))}: give the file of one, such as {parts[0]}",
            )
        rows = (row for part in parts for _, row in Parquet().rows(DataFile(part)))
        return zip(count(1), rows)


class HubDataset:
    """`hf:org/name`, or `hf:org/name:split`, through the `datasets` library; rows are counted."""

    name = "hub"

    def recognises(self, file: DataFile) -> bool:
        """The prefix."""
        return str(file.path).startswith(HUB_PREFIX)

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """Of the split, which is `train` by default."""
        return _numbered(load_from_hub(file.path))


def load_from_hub(path: Path) -> Dataset:
    """The split that `hf:org/name:split` names. Raises `DataError`."""
    datasets = _library(path)
    name, _, split = str(path).removeprefix(HUB_PREFIX).partition(":")
    try:
        return datasets.load_dataset(name, split=split or "train")
    except _errors(datasets) as error:
        raise DataError(path, f"cannot be had from the hub: {one_line(error)}") from None


def cached_hub_files(path: Path) -> list[Path]:
    """What the library keeps of the split on this machine. Raises `DataError`."""
    return [Path(part["filename"]) for part in load_from_hub(path).cache_files]


def _saved_dataset(folder: Path) -> Dataset:
    datasets = _library(folder)
    try:
        saved = datasets.load_from_disk(folder)
    except _errors(datasets) as error:
        raise DataError(folder, f"is no whole folder of `datasets`: {one_line(error)}") from None
    if isinstance(saved, datasets.DatasetDict):
        if len(saved) != 1:
            splits = ", ".join(sorted(saved)) or "none"
            raise DataError(
                folder, f"holds the splits {splits}: give the folder of one, such as {folder}/train"
            )
        saved = next(iter(saved.values()))
    return saved


def _numbered(dataset: Dataset) -> Iterator[NumberedRow]:
    batches = dataset.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
    return zip(count(1), chain.from_iterable(map(arrow_rows, batches)))


def _library(path: Path) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError(path, "needs one more package: pip install 'tunewise[datasets]'") from None
    return datasets


def _errors(datasets: Any) -> tuple[type[Exception], ...]:
    """What the library raises for data that are not there or not whole, out of the libraries beneath it."""
    import pyarrow

    return (
        datasets.exceptions.DatasetsError,
        pyarrow.ArrowException,
        OSError,
        ValueError,
        LookupError,
        TypeError,
    )
