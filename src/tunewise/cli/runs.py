"""`tunewise runs`: the runs on this machine, and what each recommended."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.output import Json, describe_gain, local_time, print_fields, print_json, print_table
from tunewise.records import RunRecord
from tunewise.settings import get_settings
from tunewise.store.run_folder import is_in_use

if TYPE_CHECKING:
    from tunewise.comparing import ComparedApproach

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
    run: Annotated[str, typer.Argument(help="A run's folder, or the last part of it.", metavar="RUN")],
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


@app.command("compare", epilog="Example: tunewise runs compare runs/prices runs/prices-seed-1")
def compare(
    first: Annotated[
        str, typer.Argument(help="A finished run's folder, or the last part of it.", metavar="FIRST")
    ],
    second: Annotated[str, typer.Argument(help="Another one.", metavar="SECOND")],
    json: Json = False,
) -> None:
    """Show two runs side by side, paired where they share test examples.

    The gain is what SECOND has over FIRST, on the examples that both were tested with, with its 95% interval.
    """
    from tunewise.cli.decide import find_run
    from tunewise.comparing import compare_runs

    comparison = compare_runs(find_run(first), find_run(second))
    if json:
        print_json(comparison.to_json())
        return
    for label, folder, verdict in zip(
        ("first", "second"), comparison.folders, comparison.verdicts, strict=True
    ):
        typer.echo(f"{label}: {folder}\n  {verdict.headline}")
    typer.echo(f"\nasked for: {comparison.differences or 'the same'}")
    if comparison.shared_examples:
        typer.echo(
            f"test examples in both: {comparison.shared_examples}; what SECOND gains is told of these, with "
            "its 95% interval: where that holds 0, it may be chance"
        )
    else:
        typer.echo(
            "no test example is in both, so what SECOND gains cannot be told: give both runs the same --test"
        )
    typer.echo(f"\n{comparison.metric} of all test examples of a run\n")
    print_table(
        ("APPROACH", "FIRST", "SECOND", "SECOND GAINS"),
        [_row(approach) for approach in comparison.approaches],
    )


def _row(approach: ComparedApproach) -> tuple[str, ...]:
    sides = (f"{side.score:.1%}" if side else "-" for side in (approach.first, approach.second))
    gain = approach.gain
    if gain is None:
        return (approach.name, *sides, "-")
    return (approach.name, *sides, f"{describe_gain(gain)} on {approach.shared_examples}")
