"""`tunewise runs`: the runs on this machine, and what each recommended."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.output import Json, local_time, print_fields, print_json, print_table
from tunewise.records import RunRecord
from tunewise.settings import get_settings
from tunewise.store.run_folder import is_in_use

app = typer.Typer(help="The runs on this machine.", no_args_is_help=True, rich_markup_mode=None)


def as_it_is(run: RunRecord) -> RunRecord:
    """The run with its status corrected: one that was killed had no time to say so."""
    if run.status == "running" and not is_in_use(Path(run.path)):
        return replace(run, status="interrupted")
    return run


@app.command("list", epilog="Example: tunewise runs list --json")
def list_runs(json: Json = False) -> None:
    """List the runs, newest first."""
    from tunewise.store.registry import Registry

    runs = [as_it_is(run) for run in Registry(get_settings().registry).runs()]
    if json:
        print_json([asdict(run) for run in runs])
    elif runs:
        rows = [
            (Path(run.path).name, run.status, run.recommendation or "-", local_time(run.created_at), run.path)
            for run in runs
        ]
        print_table(("RUN", "STATUS", "RECOMMENDATION", "STARTED", "FOLDER"), rows)
    else:
        typer.echo("no runs yet: `tunewise run DATA` starts one", err=True)


@app.command("show", epilog="Example: tunewise runs show runs/prices")
def show_run(
    run: Annotated[str, typer.Argument(help="A run's folder, or the last part of it.")],
    json: Json = False,
) -> None:
    """Show one run and its verdict in a sentence."""
    from tunewise.store.registry import Registry

    record = as_it_is(Registry(get_settings().registry).run(run))
    if json:
        print_json(asdict(record))
        return
    print_fields(
        {
            "folder": record.path,
            "status": record.status,
            "verdict": record.headline or "-",
            "recommendation": record.recommendation or "-",
            "model": record.model or "-",
            "data": record.data,
            "base": record.base,
            "seed": str(record.seed),
            "started": local_time(record.created_at),
            "finished": local_time(record.finished_at),
        }
    )
