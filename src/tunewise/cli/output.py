"""What verbs print on stdout: aligned columns for people, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tunewise.evaluate.stats import PairedGain

Json = Annotated[bool, typer.Option("--json", help="Print JSON; progress stays on stderr.")]


def print_json(value: Any) -> None:
    """One indented JSON document."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_paragraph(text: str, indent: str = "", *, hanging: str | None = None) -> None:
    """Lines as wide as the terminal, broken between words; one line where nobody looks at a terminal.

    `hanging` is the indent of all lines but the first.
    """
    if not sys.stdout.isatty():
        typer.echo(indent + text)
        return
    lines = textwrap.wrap(
        text,
        shutil.get_terminal_size().columns,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo("\n".join(lines))


def printable(text: str) -> str:
    """On one line: line breaks, and whatever else a terminal would act on, are spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, never cut: a model id must survive copying."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_fields(fields: dict[str, str]) -> None:
    """One `name  value` per line."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        typer.echo(f"{name.ljust(width)}  {value}")


def local_time(unix_seconds: int | None) -> str:
    """To the minute, in this machine's zone; a dash for what has not happened."""
    return "-" if unix_seconds is None else f"{datetime.fromtimestamp(unix_seconds):%Y-%m-%d %H:%M}"


def describe_gain(gain: PairedGain) -> str:
    """In points, with the 95% interval."""
    return f"{100 * gain.estimate:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
