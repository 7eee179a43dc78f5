"""`tunewise decide`: the verdict of a finished run once more, from its scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.output import Json, print_json
from tunewise.cli.run import print_verdict
from tunewise.cli.run_options import CallsPerMonth

EXAMPLE = "Example: tunewise decide runs/prices --calls-per-month 100000"


def decide(
    run: Annotated[
        str, typer.Argument(help="A finished run's folder, or the last part of it.", metavar="RUN")
    ],
    calls_per_month: CallsPerMonth = None,
    json: Json = False,
) -> None:
    """Decide again on what RUN measured. Asks no model and changes no file.

    Prints what the run printed, unless its scores, the rules or the number of calls have changed since.
    """
    from tunewise.deciding import decide_run

    folder = find_run(run)
    verdict = decide_run(folder, calls_per_month)
    if json:
        print_json(asdict(verdict))
    else:
        print_verdict(verdict, folder)


def find_run(run: str) -> Path:
    """The folder by this path, or of the run of this name. Raises `RunNotFoundError`."""
    from tunewise.settings import get_settings
    from tunewise.store.registry import Registry

    folder = Path(run)
    return folder if folder.is_dir() else Path(Registry(get_settings().registry).run(run).path)
