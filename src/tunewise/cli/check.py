"""`tunewise check`: what is wrong with a file of examples, before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli import repairs
from tunewise.cli.data_options import Columns, Data, Encoding, Format, GroupKey, read_options
from tunewise.cli.exit_codes import UNUSABLE
from tunewise.cli.output import Json, print_json, print_paragraph, printable

if TYPE_CHECKING:
    from tunewise.checking import CheckReport, CheckSpec
    from tunewise.data.checks.base import Problem, Severity

EXAMPLE = "Example: tunewise check examples/prices.jsonl"

_COLOURS: dict[Severity, str] = {"error": "red", "warning": "yellow", "note": "blue"}
_SHOWN_LINES = 8
_SHOWN_CHARACTERS = 300
_PAGE_BEGINS = b"<!doctype html>"


def check(
    data: Data,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    group_key: GroupKey = None,
    validation: Annotated[
        Path | None, typer.Option(help="Examples that you set aside to choose with: do they leak?")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="Examples that you set aside to test with: do they leak?")
    ] = None,
    docs: Annotated[
        Path | None,
        typer.Option(
            help='What answers may come from: text, Markdown, HTML, PDF, or JSONL with a "text" in each row.'
        ),
    ] = None,
    base: Annotated[
        str, typer.Option(help="The model whose tokens are counted: embedded, a hub id or a folder.")
    ] = "embedded",
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="The longest row that is trained on. Default: as in training.")
    ] = None,
    fix: repairs.Fix = False,
    drop: repairs.Drop = None,
    keep: repairs.Keep = None,
    out: repairs.Out = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write a page with charts and the rows that have problems.", metavar="PAGE"),
    ] = None,
    json: Json = False,
) -> None:
    """What is wrong with DATA, by line, and does it matter for training?

    Nothing is trained, and DATA stays as it is.

    Errors make training unsound: exit code 1. Warnings make it worse, notes are worth knowing. All codes are
    explained in docs/checks.md. With --fix or --drop, the exit code is about the copy.
    """
    from tunewise.checking import CheckSpec
    from tunewise.checking import check as check_data
    from tunewise.cli.progress import RichProgress
    from tunewise.data.repair import repair

    if html is not None:
        refuse_to_replace(html)
    to_do = repairs.read_repair_options(data, fix=fix, drop=drop, keep=keep, out=out)
    limits = {} if max_tokens is None else {"max_tokens": max_tokens}
    spec = CheckSpec(
        data=data,
        reading=read_options(format, columns, encoding),
        group_key=group_key,
        validation=validation,
        test=test,
        docs=docs,
        base=base,
        **limits,
    )
    report = repairs.judge(check_data(spec, RichProgress()), to_do)
    told = report.to_json()
    if html is not None:
        write_page(html, report, spec)
    if not json:
        show_report(report, data)
    if out is not None:
        copy = repair(data, out, report.problems, to_do, spec.reading)
        report = repairs.judge(check_data(repairs.spec_of_copy(spec, out), RichProgress()), to_do)
        told["clean"] = repairs.copy_to_json(copy, report)
        if not json:
            typer.echo()
            for line in repairs.describe_copy(copy, report):
                print_paragraph(line, hanging="  ")
    if json:
        print_json(told)
    if not report.sound:
        raise typer.Exit(UNUSABLE)


def show_report(report: CheckReport, data: Path) -> None:
    """What there is, then what is wrong with it, the worst first."""
    from tunewise.data.checks.base import SEVERITIES
    from tunewise.data.fixes import FIXABLE_CODES

    rows = f"{report.rows} row{'s' * (report.rows != 1)}"
    examples = f"{report.examples} different example{'s' * (report.examples != 1)}"
    typer.echo()
    print_paragraph(f"{printable(str(data))}: {rows}, {examples}")
    print_paragraph(f"answers: {printable(report.answers)}", hanging="  ")
    if report.answer_sources is not None:
        print_paragraph(report.answer_sources.describe(), hanging="  ")
    for problem in report.problems:
        typer.echo()
        _show_problem(problem)
    if fixable := [code for code in FIXABLE_CODES if any(code == each.code for each in report.problems)]:
        typer.echo()
        print_paragraph(
            f"--fix --out CLEAN mends where no guess is needed: {', '.join(fixable)}", hanging="  "
        )
    counts = Counter(problem.severity for problem in report.problems)
    found = [f"{n} {severity}{'s' * (n > 1)}" for severity in SEVERITIES if (n := counts[severity])]
    verdict = "training on this is sound" if report.sound else "mend the errors before training on this"
    typer.echo(f"\n{', '.join(found) or 'nothing found'}: {verdict}")


def refuse_to_replace(page: Path) -> None:
    """Raise `RequestError` where there is something else than a page: the user's data, above all."""
    from tunewise.errors import RequestError

    try:
        with page.open("rb") as file:
            is_page = file.read(len(_PAGE_BEGINS)) == _PAGE_BEGINS
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{page}: cannot be written: {reason}", param="html") from None
    if not is_page:
        raise RequestError(f"{page} exists and is no page: give --html another name", param="html")


def write_page(page: Path, report: CheckReport, spec: CheckSpec) -> None:
    """The report for a browser, with the rows themselves. Raises `RequestError` if it cannot be written."""
    from tunewise.data.dataset import read_dataset
    from tunewise.data.sources import scan_examples
    from tunewise.data.split import split_examples
    from tunewise.errors import DataError, RequestError
    from tunewise.report.check_page import render_check_page
    from tunewise.store.files import write_text

    examples = scan_examples(spec.data, spec.group_key, spec.reading).examples
    try:
        dataset = read_dataset(spec.data, spec.group_key, spec.given_sides, spec.reading)
        cut = split_examples(dataset.examples, seed=0, path=spec.data, given=dataset.given_examples)
        sizes = {"train": len(cut.train), "validation": len(cut.validation), "test": len(cut.test)}
    except DataError:
        sizes = None
    sources = report.answer_sources.describe() if report.answer_sources else None
    text = render_check_page(
        spec.data.name, report.rows, examples, report.problems, report.answers, sources, sizes
    )
    try:
        write_text(page, text)
    except OSError as error:
        raise RequestError(f"{page}: cannot be written: {error.strerror or error}", param="html") from error


def _show_problem(problem: Problem) -> None:
    from tunewise.report.wording import shorten

    severity = typer.style(problem.severity, fg=_COLOURS[problem.severity], bold=True)
    head = f"{severity} {typer.style(problem.code, bold=True)}"
    if problem.lines:
        shown = ", ".join(map(str, problem.lines[:_SHOWN_LINES]))
        more = ", ..." if problem.count > _SHOWN_LINES else ""
        head += (
            f": {problem.count} row{'s' * (problem.count > 1)}, line{'s' * (problem.count > 1)} {shown}{more}"
        )
    typer.echo(head)
    print_paragraph(printable(problem.message), "  ")
    if problem.example is not None:
        shown = printable(shorten(problem.example, _SHOWN_CHARACTERS))
        print_paragraph(f"e.g. {shown}", "  ", hanging=" " * 7)
    if problem.examined is not None:
        typer.echo(f"  found among {problem.examined} rows drawn at random")
