"""Planted defects stand where the benchmark says they do, and its table says what was measured."""

from __future__ import annotations

import json
import string
from pathlib import Path
from random import Random

import pytest

from planted_defects import BEGIN, END, Tally, insert_table, list_figures, render_found
from planting.defects import DEFECTS
from planting.files import plant_file, plant_rows
from planting.pairs import pair_defects
from planting.rows import read_clean_rows, write_line

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
ROWS = read_clean_rows(PRICES)


@pytest.mark.parametrize("code", sorted(DEFECTS))
def test_a_defect_stands_on_its_line_and_all_other_lines_are_as_they_were(code, tmp_path: Path):
    planted = plant_file(ROWS, {code: DEFECTS[code]}, 5, Random(0), tmp_path / "rows.jsonl")

    lines = planted.path.read_text("utf-8").split("\n")[:-1]
    originals = {write_line(row) for row in ROWS}
    changed = {number for number, line in enumerate(lines, start=1) if line not in originals}
    assert changed == {number for where in planted.lines.values() for number in where}
    assert changed.isdisjoint(planted.clean)
    assert len(changed) in (0, 5)  # No price can have a misspelt label.


def test_a_pair_is_named_by_both_of_its_lines(tmp_path: Path):
    kinds = {"exact-duplicate": pair_defects(ROWS)["exact-duplicate"]}
    planted = plant_file(ROWS, kinds, 5, Random(0), tmp_path / "rows.jsonl")
    lines = planted.path.read_text("utf-8").split("\n")
    assert len(planted.lines) == 5
    assert all(lines[one - 1] == lines[other - 1] for one, other in planted.lines.values())


def test_of_rows_with_one_answer_from_one_template_only_the_first_is_clean(tmp_path: Path):
    calls = [("pause song", "pause"), ("pause track", "pause"), ("next song", "next"), ("halt it", "pause")]
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]}
        for text, answer in [*calls, *((word * 9, word) for word in string.ascii_letters * 2)]
    ]
    path, groups = tmp_path / "calls.jsonl", tmp_path / "calls_groups.txt"
    path.write_text("\n".join(map(write_line, rows)), "utf-8")
    rows = read_clean_rows(path)
    others = [str(number) for number in range(len(string.ascii_letters) * 2)]
    groups.write_text("\n".join(["a", "a", "a", "b", *others]), "utf-8")
    assert read_clean_rows(path) == [rows[0], *rows[2:]]
    groups.write_text("\n".join(["a", "a", "a", "b", *("a list" for _ in others)]), "utf-8")
    assert read_clean_rows(path) == rows


def test_the_same_seed_plants_the_same(tmp_path: Path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (
        [file.path.read_bytes() for file in plant_rows(ROWS, 5, Random(7), folder, "x")] for folder in folders
    )
    assert one == other


def test_the_table_has_a_row_for_each_code_and_goes_between_its_marks():
    tallies = {
        "secret": Tally(planted=100, found=98, clean=1000, false=5),
        "too-few": Tally(planted=4, found=4),
    }
    tallies["secret"].missed["prices"] = 2
    figures = [json.loads(json.dumps(vars(figure))) for figure in list_figures(tallies)]

    table = render_found(figures)

    assert table.splitlines()[2:] == [
        "| `secret` | 98.00% of 100 planted | 0.50% of 1000 clean |",
        "| `too-few` | 100.00% of 4 planted |  |",
    ]
    assert [figure["holds"] for figure in figures] == [False, True, True]
    assert figures[0]["limited_by"] == "2 in prices"
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    assert insert_table(page, table) == f"before\n{BEGIN}\n{table}{END}\nafter"
    assert insert_table("no marks", table) == "no marks"
