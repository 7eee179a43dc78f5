"""`tunewise check`: what is wrong with a file of examples, before anything is trained on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli import repairs
from tunewise.cli.output import print_json

EXAMPLE = "Example: tunewise check examples/prices.jsonl"


def check(
    data: Annotated[Path, typer.Argument(help="Examples as OpenAI chat JSONL: one conversation per line.")],
    group_key: Annotated[
        str | None, typer.Option(help="Field of each row; rows with equal values belong together.")
    ] = None,
    fix: repairs.Fix = False,
    drop: repairs.Drop = None,
    keep: repairs.Keep = None,
    out: repairs.Out = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the problems as JSON; progress stays on stderr.")
    ] = False,
) -> None:
    """What is wrong with DATA, by line, and does it matter for training?

    Errors make training unsound: exit code 1. With --fix or --drop, the copy is what is judged.
    """
    from tunewise.checking import CheckSpec
    from tunewise.checking import check as check_data
    from tunewise.cli.progress import RichProgress
    from tunewise.data.repair import leave_alone, repair

    to_do = repairs.read_repair_options(data, fix=fix, drop=drop, keep=keep, out=out)
    spec = CheckSpec(data=data, group_key=group_key)
    report = check_data(spec, RichProgress())
    report = replace(report, problems=leave_alone(report.problems, to_do.keep))
    shown = report.to_json()
    if not as_json:
        for problem in report.problems:
            typer.echo(f"{problem.severity} {problem.code}: {problem.count} rows: {problem.message}")
    if out is not None:
        copy = repair(data, out, report.problems, to_do)
        report = check_data(spec.model_copy(update={"data": out}), RichProgress())
        report = replace(report, problems=leave_alone(report.problems, to_do.keep))
        shown["clean"] = repairs.copy_to_json(copy, report)
        if not as_json:
            typer.echo(repairs.describe_copy(copy, report))
    if as_json:
        print_json(shown)
    if not report.sound:
        raise typer.Exit(1)
