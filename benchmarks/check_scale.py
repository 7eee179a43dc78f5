"""Time and memory of the checks on 10,000, 100,000 and 1,000,000 rows, made by varying those of given files.

Each row is a real one, half of its words drawn anew from the other rows of its file, so that inputs differ as
much as real ones do and most are no copies of each other. Each size has a process of its own: it reads the
file and then runs the cheap checks, or all. Peak memory is that of the whole process. *Growth* is how much
longer a row takes than at the size before: 1 where time is linear.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from planting.measured_check import ALL, CHEAP
from planting.rows import Row, answer_of, read_clean_rows, user_of, with_user, write_line
from results_file import Figure, write_results

HERE = Path(__file__).parent
SIZES = (10_000, 100_000, 1_000_000)
MAX_MINUTES = {CHEAP: 3, ALL: 10}
"""For the largest size."""
MAX_MEMORY_GB = 4
CHANGED_SHARE = 0.5
"""Of an input's words."""


def vary_rows(sets: Sequence[Sequence[Row]], count: int, rng: Random) -> Iterator[Row]:
    """`count` rows, of the sets in turn."""
    words = [[word for row in rows for word in user_of(row).split()] for rows in sets]
    for number in range(count):
        which = number % len(sets)
        row = rng.choice(sets[which])
        changed = [
            rng.choice(words[which]) if rng.random() < CHANGED_SHARE and word not in answer_of(row) else word
            for word in user_of(row).split()
        ]
        yield with_user(row, " ".join([*changed, rng.choice(words[which]), str(rng.randrange(10**6))]))


def measure_apart(path: Path, cost: str) -> dict[str, float]:
    """In a process of its own, which gives all its memory back."""
    command = [sys.executable, "-m", "planting.measured_check", str(path), cost]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=HERE).stdout
    measured: dict[str, float] = json.loads(answer.splitlines()[-1])
    return measured


def list_figures(cost: str, measured: dict[int, dict[str, float]]) -> list[Figure]:
    figures = []
    largest = max(measured)
    before = None
    for size, values in sorted(measured.items()):
        total, memory = values["total"], values["memory_gb"]
        what = f"{cost} checks, {size:,} rows"
        slowest = _slowest(values)
        is_final = size == largest
        limit = MAX_MINUTES[cost] * 60.0 if is_final else None
        holds = total <= limit if limit is not None else None
        memory_limit = float(MAX_MEMORY_GB) if is_final else None
        memory_holds = memory <= memory_limit if memory_limit is not None else None
        figures += [
            Figure(f"{what}: time", total, "s", None, None, limit, holds, slowest),
            Figure(f"{what}: speed", size / total, "rows/s", None, None, None, None, slowest),
            Figure(
                f"{what}: peak memory",
                memory,
                "GB",
                None,
                None,
                memory_limit,
                memory_holds,
                "all rows are kept",
            ),
        ]
        if before is not None:
            growth = total / size / (measured[before]["total"] / before)
            figures.append(
                Figure(
                    f"{what}: growth", growth, f"times that of {before:,} per row", None, None, None, None, ""
                )
            )
        before = size
    return figures


def _slowest(values: dict[str, float]) -> str:
    parts = {name: value for name, value in values.items() if name not in ("total", "memory_gb")}
    ordered = sorted(parts, key=lambda name: -parts[name])[:3]
    return ", ".join(f"{name} {parts[name] / values['total']:.0%}" for name in ordered)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="chat JSONL files to vary")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of rows")
    parser.add_argument("--try", dest="only_try", action="store_true", help="print, and write nothing")
    arguments = parser.parse_args()

    sets = [read_clean_rows(path) for path in arguments.files]
    measured: dict[str, dict[int, dict[str, float]]] = {CHEAP: {}, ALL: {}}
    for size in sorted(arguments.sizes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            with path.open("w", encoding="utf-8") as file:
                file.writelines(write_line(row) + "\n" for row in vary_rows(sets, size, Random(size)))
            for cost, by_size in measured.items():
                by_size[size] = measure_apart(path, cost)
                print(cost, size, json.dumps(by_size[size]), flush=True)
    if not arguments.only_try:
        write_results(
            Path(__file__).stem, [f for cost in measured for f in list_figures(cost, measured[cost])]
        )


if __name__ == "__main__":
    main()
