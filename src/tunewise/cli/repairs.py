"""What `tunewise check` offers to do about problems: its options, and what is said about the copy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tunewise.checking import CheckReport, CheckSpec
    from tunewise.data.clean_file import CleanFile
    from tunewise.data.repair import RepairSpec

Fix = Annotated[
    bool, typer.Option("--fix", help="Write a copy to --out in which what needs no guess is mended.")
]
Drop = Annotated[
    list[str] | None,
    typer.Option(help="Leave rows with this problem out of the copy; can be repeated.", metavar="CODE"),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(help="Do not fix this problem, nor count it as an error; can be repeated.", metavar="CODE"),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="The copy, as chat JSONL; a log of every change is written beside it.", metavar="CLEAN"
    ),
]


def read_repair_options(
    data: Path, *, fix: bool, drop: list[str] | None, keep: list[str] | None, out: Path | None
) -> RepairSpec:
    """What is to be done, checked before any work begins. Raises a `TunewiseError` or a usage error."""
    from tunewise.data.checks import ALL_CHECKS
    from tunewise.data.clean_file import refuse_to_overwrite
    from tunewise.data.repair import RepairSpec

    spec = RepairSpec(fix=fix, drop=tuple(drop or ()), keep=tuple(keep or ()))
    spec.check_codes(check.code for check in ALL_CHECKS)
    if spec.writes and out is None:
        raise typer.BadParameter("--fix and --drop write a copy: say where to, with --out CLEAN")
    if out is not None:
        if not spec.writes:
            raise typer.BadParameter(
                "--out is for the copy that --fix or --drop CODE writes: add one of them"
            )
        refuse_to_overwrite(data, out)
    return spec


def judge(report: CheckReport, to_do: RepairSpec) -> CheckReport:
    """The same report, in which problems that are to be kept are no more than notes."""
    from tunewise.data.repair import leave_alone

    return replace(report, problems=leave_alone(report.problems, to_do.keep))


def spec_of_copy(spec: CheckSpec, out: Path) -> CheckSpec:
    """The same check of the copy, which is chat JSONL whatever `spec.data` is."""
    from tunewise.data.reading import Reading

    if spec.reading == Reading():
        return spec.model_copy(update={"data": out})
    # The files that were set aside are read like the data: not as the copy is.
    return spec.model_copy(update={"data": out, "reading": Reading(), "validation": None, "test": None})


def describe_copy(copy: CleanFile, left: CheckReport) -> tuple[str, ...]:
    """Line by line: what was done, where it is written down, and what is left to do by hand."""
    problems = Counter[tuple[str, str]]()
    for each in left.problems:
        problems[each.severity, each.code] += each.count
    found = [
        f"{code} ({severity}, {f'{rows:,} rows' if rows > 1 else 'one row' if rows else 'the whole file'})"
        for (severity, code), rows in problems.items()
    ]
    verdict = "training on it is sound" if left.sound else "mend the errors before training on it"
    return (
        copy.describe(),
        f"every change: {copy.log}",
        f"left in it: {', '.join(found) or 'no problem'}: {verdict}",
    )


def copy_to_json(copy: CleanFile, left: CheckReport) -> dict[str, Any]:
    """What `--json` says of the copy, under "clean"."""
    return {
        "path": str(copy.path),
        "changes": str(copy.log),
        "dropped": dict(copy.dropped),
        "mended": dict(copy.changed),
        **left.to_json(),
    }
