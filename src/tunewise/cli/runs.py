"""`tunewise runs`: the runs on this machine, and what each recommended."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.output import local_time, print_fields, print_json, print_table
from tunewise.settings import get_settings

app = typer.Typer(help="The runs on this machine.", no_args_is_help=True, rich_markup_mode=None)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", epilog="Example: tunewise runs list --json")
def list_runs(json: JsonOption = False) -> None:
    """List the runs, newest first."""
    from tunewise.store.registry import Registry

    runs = Registry(get_settings().registry).runs()
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
    json: JsonOption = False,
) -> None:
    """Show one run and its verdict in a sentence."""
    from tunewise.store.registry import Registry

    record = Registry(get_settings().registry).run(run)
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
