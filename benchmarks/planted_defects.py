"""How many of the defects that were planted at known lines the checks find, and what they say of clean lines.

Of every kind, 50 rows of each given file are made defective, in files of which at most 15% are. A row counts
as clean if nothing was planted in it, so what is wrong with real data by themselves counts as a false alarm;
only rows with HTML entities, space around turns, or an earlier row's input (or its answer and nearly its
input or, where known, its template) are left out. Defects of a file as a whole are planted in small files.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from planting.files import FILE_CODES, PlantedFile, draw_files, plant_leak, plant_rows
from planting.rows import read_clean_rows
from results_file import RESULTS, Figure, write_results
from tunewise.checking import CheckSpec, check
from tunewise.data.checks import ALL_CHECKS
from tunewise.store.files import write_text

PAGE = RESULTS.parents[1] / "docs" / "checks.md"
BEGIN, END = "<!-- planted defects: begin -->", "<!-- planted defects: end -->"
MIN_FOUND, MAX_FALSE = 0.99, 0.01
TARGETS = {"near-duplicate": (0.9, 0.02)}
"""(least share found, greatest share of false alarms) where these are not those of all."""


@dataclass
class Tally:
    """Of one code, over all files."""

    planted: int = 0
    found: int = 0
    clean: int = 0
    false: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    """By data set."""
    alarmed: Counter[str] = field(default_factory=Counter)


def measure_rows(spec: CheckSpec, file: PlantedFile, name: str, tallies: dict[str, Tally]) -> None:
    flagged: dict[str, set[int]] = {}
    for problem in check(spec).problems:
        flagged.setdefault(problem.code, set()).update(problem.lines)
    for (code, _), lines in file.lines.items():
        tally = tallies.setdefault(code, Tally())
        tally.planted += 1
        if flagged.get(code, set()).isdisjoint(lines):
            tally.missed[name] += 1
        else:
            tally.found += 1
    for code in {each.code for each in ALL_CHECKS} - FILE_CODES:
        tally = tallies.setdefault(code, Tally())
        alarms = len(flagged.get(code, set()) & file.clean)
        tally.clean += len(file.clean)
        tally.false += alarms
        tally.alarmed[name] += alarms


def measure_file(code: str, defective: bool, path: Path, name: str, tallies: dict[str, Tally]) -> None:
    found = code in {problem.code for problem in check(CheckSpec(data=path)).problems}
    tally = tallies.setdefault(code, Tally())
    if defective:
        tally.planted += 1
        tally.found += found
        tally.missed[name] += not found
    else:
        tally.clean += 1
        tally.false += found
        tally.alarmed[name] += found


def list_figures(tallies: Mapping[str, Tally]) -> list[Figure]:
    figures = []
    for code, tally in sorted(tallies.items()):
        least, most = TARGETS.get(code, (MIN_FOUND, MAX_FALSE))
        if tally.planted:
            share = tally.found / tally.planted
            unit = f"of {tally.planted} planted"
            figures.append(
                Figure(f"{code}: found", share, unit, None, None, least, share >= least, _where(tally.missed))
            )
        if tally.clean:
            share = tally.false / tally.clean
            unit = f"of {tally.clean} clean"
            figures.append(
                Figure(
                    f"{code}: false alarms",
                    share,
                    unit,
                    None,
                    None,
                    most,
                    share <= most,
                    _where(tally.alarmed),
                )
            )
    return figures


def render_found(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures, as `results_file.Figure` lists their fields, with one row of a Markdown table per code."""
    by_code: dict[str, dict[str, Mapping[str, Any]]] = {}
    for figure in figures:
        code, _, kind = figure["figure"].partition(": ")
        by_code.setdefault(code, {})[kind] = figure
    lines = ["| code | found | false alarms |", "|---|---|---|"]
    for code, kinds in by_code.items():
        found, false = (_share(kinds.get(kind)) for kind in ("found", "false alarms"))
        lines.append(f"| `{code}` | {found} | {false} |")
    return "\n".join([*lines, ""])


def insert_table(page: str, table: str) -> str:
    """The page with the table between its two marks; the page as it is where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}{end}{after}" if end else page


def _share(figure: Mapping[str, Any] | None) -> str:
    return "" if figure is None else f"{figure['value']:.2%} {figure['unit']}"


def _where(counts: Counter[str]) -> str:
    return ", ".join(f"{count} in {name}" for name, count in counts.most_common(3) if count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="clean chat JSONL files")
    parser.add_argument("--count", type=int, default=50, help="defects of each kind in each file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--try", dest="only_try", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()

    known = {each.code for each in ALL_CHECKS}
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in arguments.files:
            rows, rng = read_clean_rows(path), Random(arguments.seed)
            for file in plant_rows(rows, arguments.count, rng, folder, path.stem):
                print(f"{file.path.name}: {', '.join(sorted({code for code, _ in file.lines}))}", flush=True)
                measure_rows(CheckSpec(data=file.path), file, path.stem, tallies)
            if "split-leak" in known:
                leaking, test = plant_leak(rows, arguments.count, rng, folder, path.stem)
                spec = CheckSpec.model_validate({"data": leaking.path, "test": test})
                measure_rows(spec, leaking, path.stem, tallies)
            for code, defective, small in draw_files(rows, arguments.count, rng, folder):
                measure_file(code, defective, small, path.stem, tallies)
    for code in sorted(tallies.keys() - known):
        print(f"{code}: left out, as there is no such check")
    figures = list_figures({code: tally for code, tally in tallies.items() if code in known})
    for figure in figures:
        held = "" if figure.holds else "NOT HELD"
        print(f"{figure.figure}: {figure.value:.2%} {figure.unit} {held} {figure.limited_by}")
    if not arguments.only_try:
        results = write_results(Path(__file__).stem, figures)
        table = render_found(json.loads(results.read_text("utf-8"))["figures"])
        if PAGE.is_file():
            write_text(PAGE, insert_table(PAGE.read_text("utf-8"), table))


if __name__ == "__main__":
    main()
