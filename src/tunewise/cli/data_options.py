"""What every verb that reads examples asks about them, said once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tunewise.data.reading import Reading

Data = Annotated[
    Path,
    typer.Argument(
        help="Examples: a file of JSONL, JSON, CSV, TSV or Parquet (or .gz, .zst), a folder, or hf:ORG/NAME.",
        metavar="DATA",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="What the data are (jsonl, json, csv, tsv, parquet, folder, hub), what the rows are (chat, "
        "sharegpt, alpaca, prompt-completion, preference, openai-preference), or both. Default: what they "
        "look like.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="What the file calls its fields, and what they are, such as question=prompt,answer=completion."
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(help="Of text that is not UTF-8 and has no byte order mark, such as latin-1."),
]
GroupKey = Annotated[
    str | None,
    typer.Option(
        help="Field of each row; rows with equal values stay on one side of a split, and count as one in "
        "intervals.",
        metavar="FIELD",
    ),
]
Validation = Annotated[Path | None, typer.Option(help="Examples to validate on, instead of a part of DATA.")]


def read_options(format: str | None, columns: str | None, encoding: str | None) -> Reading:
    """The three options together. Raises `SpecError`."""
    from tunewise.data.reading import parse_reading

    return parse_reading(format, columns, encoding)
