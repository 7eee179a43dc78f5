"""What a run refuses before it does anything expensive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tunewise import pipeline
from tunewise.errors import SpecError
from tunewise.run_spec import RunSpec
from tunewise.settings import get_settings

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"


@pytest.mark.parametrize(
    "source", ["def score(answer, expected): return 'right'\n", "import nothing_of_this_name\n"]
)
def test_a_metric_that_does_not_work_is_told_before_the_base_is_looked_for(
    tmp_path: Path, source: str
) -> None:
    (tmp_path / "mine.py").write_text(source, "utf-8")
    spec = RunSpec(data=PRICES, base=str(tmp_path / "no-such-base"), metric=f"{tmp_path / 'mine.py'}:score")
    settings = replace(get_settings(), home=tmp_path / "home")
    with pytest.raises(SpecError, match=r"--metric .*mine\.py"):
        pipeline.run(spec, tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()
