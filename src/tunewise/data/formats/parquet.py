"""Parquet files, and how rows of Arrow tables, which they are read as, become JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tunewise.data.formats.base import NumberedRow
from tunewise.data.formats.data_file import DAMAGE, DataFile
from tunewise.data.row_problems import RowProblem
from tunewise.errors import DataError

if TYPE_CHECKING:
    import pyarrow

_ROWS_AT_ONCE = 1024


class Parquet:
    """One Parquet file; rows are counted."""

    name = "parquet"

    def recognises(self, file: DataFile) -> bool:
        """The first four bytes."""
        return file.head.startswith(b"PAR1")

    def rows(self, file: DataFile) -> Iterator[NumberedRow]:
        """What cannot be read behind some row is one bad row."""
        import pyarrow
        from pyarrow.parquet import ParquetFile

        errors = (pyarrow.ArrowException, *DAMAGE, ValueError)
        with file.open() as stream:
            try:
                # Whole, as the index stands at the end, where a compressed stream cannot go to first.
                table = ParquetFile(pyarrow.BufferReader(stream.read()))
            except errors as error:
                raise DataError(file.path, f"is no whole Parquet file: {one_line(error)}") from None
            number = 0
            batches = table.iter_batches(_ROWS_AT_ONCE)
            while True:
                try:
                    batch = next(batches, None)
                except errors as error:
                    yield number + 1, RowProblem(f"from here on it cannot be read: {one_line(error)}")
                    return
                if batch is None:
                    return
                for row in arrow_rows(batch):
                    number += 1
                    yield number, row


def arrow_rows(batch: pyarrow.RecordBatch | pyarrow.Table) -> Iterator[Any]:
    """The rows as JSON values, or the `RowProblem` of one.

    In Arrow all objects of a column have the fields of all others, null where the row had none: a tool call
    would get arguments that belong to another function. So what is null inside an object is left out. Whether
    the row said null there is not in the file.
    """
    try:
        rows = batch.to_pylist(maps_as_pydicts="strict")
    except _UNREADABLE as error:
        if batch.num_rows > 1:
            for index in range(batch.num_rows):
                yield from arrow_rows(batch.slice(index, 1))
        else:
            yield RowProblem(f"cannot be read: {one_line(error)}")
        return
    for row in rows:
        yield {name: _without_nulls(value) for name, value in row.items()}


# Text that is not UTF-8, dates out of range, a key twice in a map, and so on.
_UNREADABLE = (ValueError, KeyError, OverflowError, TypeError, NotImplementedError, RecursionError)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def one_line(error: BaseException) -> str:
    """What another library says, as a part of one of our lines."""
    return " ".join(str(error).split())
