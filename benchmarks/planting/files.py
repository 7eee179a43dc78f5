"""Files with known defects: which lines have which, and which lines are clean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from planting.defects import DEFECTS, Defect
from planting.pairs import pair_defects
from planting.rows import Row, answer_of, user_of, with_answer, write_line

MAX_PLANTED_SHARE = 0.15
"""Of a file's rows, so that most of it stays as it is: checks compare a row with the others."""

FILE_CODES = frozenset({"too-few", "too-few-per-label", "imbalance", "answers-not-in-data"})
"""Defects of a file as a whole, of which no line is clean or planted."""

Plant = tuple[str, int]
"""A defect's code and its number."""


@dataclass(eq=False)
class Line:
    """A line, and the defects it takes part in: none if it is clean."""

    row: Row | str
    plants: list[Plant] = field(default_factory=list)


@dataclass(frozen=True)
class PlantedFile:
    """A file as it was written."""

    path: Path
    lines: dict[Plant, list[int]]
    """Of each defect; naming one of them is finding it."""
    clean: frozenset[int]


def plant_rows(
    rows: Sequence[Row], count: int, rng: Random, folder: Path, name: str
) -> Iterator[PlantedFile]:
    """All kinds of defects, `count` of each, in as few files as `MAX_PLANTED_SHARE` allows."""
    kinds = DEFECTS | pair_defects(rows)
    per_file = max(1, int(MAX_PLANTED_SHARE * len(rows) / count))
    codes = sorted(kinds)
    for start in range(0, len(codes), per_file):
        chosen = {code: kinds[code] for code in codes[start : start + per_file]}
        yield plant_file(rows, chosen, count, rng, folder / f"{name}-{start}.jsonl")


def plant_file(
    rows: Sequence[Row], kinds: Mapping[str, Defect], count: int, rng: Random, path: Path
) -> PlantedFile:
    """Write all rows to `path`, shuffled, up to `count` of them with each kind of defect."""
    pairs = pair_defects(rows).keys()
    lines = [Line(row) for row in rng.sample(rows, len(rows))]
    free = rng.sample(lines, len(lines))
    for code, defect in kinds.items():
        unfit: list[Line] = []
        planted = 0
        while free and planted < count:
            line = free.pop()
            assert isinstance(line.row, dict)
            changed = defect(line.row, rng)
            if changed is None:
                unfit.append(line)
                continue
            if code in pairs:
                lines.insert(
                    rng.randrange(lines.index(line) + 1, len(lines) + 1), Line(changed, [(code, planted)])
                )
            else:
                line.row = changed
            line.plants.append((code, planted))
            planted += 1
        free = [*unfit, *free]
    return write_file(lines, path)


def plant_leak(
    rows: Sequence[Row], count: int, rng: Random, folder: Path, name: str
) -> tuple[PlantedFile, Path]:
    """Rows to train on and rows to test with, of which `count` stand or nearly stand among the former."""
    drawn = rng.sample(rows, len(rows))
    held_out, kept = drawn[:count], [Line(row) for row in drawn[count:]]
    slip = pair_defects(rows)["near-duplicate"]
    for number, line in enumerate(rng.sample(kept, count)):
        assert isinstance(line.row, dict)
        leaked = slip(line.row, rng) if number % 2 else None
        held_out.append(leaked if isinstance(leaked, dict) else line.row)
        line.plants.append(("split-leak", number))
    return write_file(kept, folder / f"{name}-leak.jsonl"), _write(held_out, folder, f"{name}-test")


def write_file(lines: Iterable[Line], path: Path) -> PlantedFile:
    """Number the lines and write them."""
    where: dict[Plant, list[int]] = {}
    clean: set[int] = set()
    with path.open("w", encoding="utf-8") as file:
        for number, line in enumerate(lines, start=1):
            file.write(write_line(line.row) + "\n")
            for plant in line.plants:
                where.setdefault(plant, []).append(number)
            if not line.plants:
                clean.add(number)
    return PlantedFile(path, where, frozenset(clean))


def draw_files(
    rows: Sequence[Row], count: int, rng: Random, folder: Path
) -> Iterator[tuple[str, bool, Path]]:
    """(code, whether the file has that defect, file), of defects that a file has as a whole."""
    by_answer: dict[str, list[Row]] = {}
    for row in rows:
        by_answer.setdefault(answer_of(row), []).append(row)
    labels = sorted(by_answer.values(), key=len)
    for number in range(count):
        size = min(len(rows), 200)
        yield "too-few", True, _write(rng.sample(rows, rng.randrange(3, 45)), folder, f"few-{number}")
        yield "too-few", False, _write(rng.sample(rows, size), folder, f"enough-{number}")
        repeated = [with_answer(row, " ".join(user_of(row).split()[:3])) for row in rng.sample(rows, size)]
        yield "answers-not-in-data", False, _write(repeated, folder, f"repeated-{number}")
        facts = [with_answer(row, str(rng.randrange(10**6))) for row in rng.sample(rows, size)]
        yield "answers-not-in-data", True, _write(facts, folder, f"facts-{number}")
        if 2 <= len(labels) <= 10 and len(labels[0]) >= 40:
            even = [row for label in labels for row in rng.sample(label, 40)]
            major = rng.sample(labels[-1], rng.randrange(180, 196))
            uneven = [*major, *(row for label in labels[:-1] for row in rng.sample(label, 10 // len(labels)))]
            few = [*even[40:], *rng.sample(labels[0], rng.randrange(2, 9))]
            yield "imbalance", True, _write(uneven, folder, f"uneven-{number}")
            yield "imbalance", False, _write(even, folder, f"even-{number}")
            yield "too-few-per-label", True, _write(few, folder, f"few-of-one-{number}")
            yield "too-few-per-label", False, _write(even, folder, f"enough-of-all-{number}")


def _write(rows: Sequence[Row], folder: Path, name: str) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(write_line(row) + "\n" for row in rows), "utf-8")
    return path
