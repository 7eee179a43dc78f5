"""`tunewise run`: from a file of examples to a verdict and, when it won, a served model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tunewise.approaches.base import APPROACHES
from tunewise.cli.data_options import Columns, Data, Encoding, Format, GroupKey, Validation, read_options
from tunewise.cli.output import Json
from tunewise.cli.run_options import (
    CallsPerMonth,
    Engine,
    Judge,
    MaxMinutes,
    Metric,
    Out,
    default_suffix,
    name_judge,
    read_instructions,
)

if TYPE_CHECKING:
    from tunewise.records import Verdict
    from tunewise.remote_rivals import Disclosure

EXAMPLE = "Example: tunewise run examples/prices.jsonl --suffix prices --out runs/prices"


def run(
    data: Data,
    instructions: Annotated[
        Path | None,
        typer.Option(help="A text file with the instruction to prompt with, instead of the data's own."),
    ] = None,
    docs: Annotated[
        Path | None,
        typer.Option(
            help="Documents to find answers in, a file or a folder (text, Markdown, HTML, PDF, JSONL): with "
            "them retrieval (rag) is a rival."
        ),
    ] = None,
    base: Annotated[
        str, typer.Option(help="The model to prompt and to tune: embedded, a hub id or a folder.")
    ] = "embedded",
    engine: Engine = "local",
    group_key: GroupKey = None,
    validation: Validation = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Examples to test on. Rows of DATA with the same inputs are left out."),
    ] = None,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    out: Out = None,
    suffix: Annotated[
        str | None, typer.Option(help="Your part of the tuned model's id. Default: the file's name.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**31 - 1, help="The same seed gives the same split, scores and weights."),
    ] = 0,
    approaches: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated: {', '.join(APPROACHES)}; or remote:MODEL, a model of the endpoint at "
            "TUNEWISE_REMOTE_URL, which is sent examples if you agree. Default: all but from-scratch and "
            "remote ones; rag only with --docs."
        ),
    ] = None,
    metric: Metric = None,
    judge: Judge = None,
    calls_per_month: CallsPerMonth = None,
    max_minutes: MaxMinutes = None,
    unusable_rows: Annotated[
        Literal["refuse", "drop"],
        typer.Option(help="What becomes of rows that cannot be trained on, such as those that are too long."),
    ] = "refuse",
    force: Annotated[
        bool, typer.Option("--force", help="Deploy the tuned model even if it did not win; recorded as such.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Send examples to the endpoint of remote:MODEL without asking first."),
    ] = False,
    json: Json = False,
) -> None:
    """Should you fine-tune on DATA, or is a better prompt enough?

    Runs prompting rivals and a LoRA fine-tune on a sealed test set, says which wins and by how much, and
    deploys the tuned model if it won. Writes verdict.json, report.html, scores.jsonl and manifest.json.
    """
    from tunewise.cli.progress import RichProgress
    from tunewise.models.ids import check_suffix
    from tunewise.run_spec import RunSpec, parse_approaches
    from tunewise.settings import get_settings
    from tunewise.train.spec import TrainSpec

    remote_url = get_settings().remote_url
    spec = RunSpec(
        data=data,
        reading=read_options(format, columns, encoding),
        base=base,
        engine=engine,
        instructions=read_instructions(instructions),
        group_key=group_key,
        validation=validation,
        test=test,
        suffix=check_suffix(suffix if suffix is not None else default_suffix(data)),
        seed=seed,
        docs=docs,
        approaches=() if approaches is None else parse_approaches(approaches, docs, remote_url),
        remote_url=remote_url,
        metric=metric,
        judge=name_judge(judge),
        calls_per_month=calls_per_month,
        max_minutes=max_minutes,
        force=force,
        training=TrainSpec(unusable_rows=unusable_rows),
    )
    folder = out or Path("runs") / default_suffix(data)
    from tunewise import pipeline  # After the options were checked: it brings in torch, which takes seconds.

    verdict = pipeline.run(
        spec, folder, RichProgress(), consent=lambda disclosure: yes or confirm(disclosure)
    )
    show_verdict(verdict, folder, as_json=json)


def confirm(disclosure: Disclosure) -> bool:
    """Ask on the terminal whether examples may leave this machine; no where there is none."""
    # On stderr, as stdout may be a program's.
    return sys.stdin.isatty() and typer.confirm(f"Send them to {disclosure.url}?", err=True)


def show_verdict(verdict: Verdict, folder: Path, *, as_json: bool) -> None:
    """The verdict of a run that just ended in words, or exactly what `verdict.json` holds."""
    if as_json:
        typer.echo((folder / "verdict.json").read_text("utf-8"), nl=False)
    else:
        print_verdict(verdict, folder)


def print_verdict(verdict: Verdict, folder: Path) -> None:
    """The headline, the reasons, and where to read on."""
    typer.echo(f"\n{verdict.headline}\n")
    for number, reason in enumerate(verdict.reasons, start=1):
        typer.echo(f"  {number}. {reason.text}")
    typer.echo(f"\nreport:  {folder / 'report.html'}")
    if verdict.model is not None:
        state = "deployed" if verdict.deployed else "rejected, but it can still be asked"
        typer.echo(f"model:   {verdict.model} ({state})")
        typer.echo(f"try it:  tunewise chat {verdict.model}\nserve:   tunewise serve")
