"""`docs/benchmarks.md`, made from the results and from what each script says of itself."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tunewise.store.files import write_text

BENCHMARKS = Path(__file__).parent
PAGE = BENCHMARKS.parent / "docs" / "benchmarks.md"
INTRODUCTION = """\
# Benchmarks

Made from `benchmarks/results/*.json`, which `make bench-train`, `make bench-serve`,
`make bench-instructions`, `make bench-estimates`, `make bench-grid`, `make bench-duplicates`,
`make bench-checks`, `make bench-check-scale`, `make bench-retrieval`, `make bench-facts` and
`make verdicts` write.
*Ratio* is value over peer, both measured in turns in one run. *Limited by* says what keeps a figure from
being better.
"""


def write_page() -> Path:
    """Write the page; returns its file."""
    write_text(PAGE, render_page())
    return PAGE


def render_page() -> str:
    """The page of all results there are."""
    return "\n".join([INTRODUCTION, *map(_section, sorted((BENCHMARKS / "results").glob("*.json")))])


def render_table(figures: Iterable[Mapping[str, Any]]) -> str:
    """Figures, as `results_file.Figure` lists their fields, as a Markdown table."""
    lines = [
        "| figure | value | peer | ratio | target | holds | limited by |",
        "|---|---|---|---|---|---|---|",
    ]
    for figure in figures:
        holds = {None: "", True: "yes", False: "no"}[figure["holds"]]
        cells = [
            figure["figure"],
            f"{_number(figure['value'])} {figure['unit']}",
            *(_number(figure[field]) for field in ("peer", "ratio", "target")),
            holds,
            figure["limited_by"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _section(results: Path) -> str:
    content = json.loads(results.read_text("utf-8"))
    script = (BENCHMARKS / f"{results.stem}.py").read_text("utf-8")
    machine = content["machine"]
    measured_on = (
        f"Measured on {content['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['accelerator'] or 'no accelerator'}, torch {machine['torch']}."
    )
    title = f"## {results.stem.replace('_', ' ').capitalize()}"
    about = ast.get_docstring(ast.parse(script)) or ""
    return "\n\n".join([title, about, measured_on, render_table(content["figures"])])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    print(write_page())
