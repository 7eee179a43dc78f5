"""What makes a run another run, whose folder it cannot use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.data.dataset import read_dataset
from tunewise.errors import RunFolderError
from tunewise.publish import open_run
from tunewise.run_spec import RunSpec
from tunewise.settings import get_settings
from tunewise.store.registry import Registry

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"


def test_a_run_goes_on_only_with_the_metric_that_it_began_with(tmp_path: Path) -> None:
    metric = tmp_path / "score.py"
    metric.write_text("def half(answer, expected): return 0.5\n", "utf-8")
    data = tmp_path / "prices.jsonl"
    data.write_text("".join(PRICES.read_text("utf-8").splitlines(keepends=True)[:20]), "utf-8")
    spec = RunSpec(data=data, metric=f"{metric}:half")
    dataset = read_dataset(data)
    registry = Registry(replace(get_settings(), home=tmp_path / "home").registry)
    for _ in range(2):
        with open_run(tmp_path / "run", spec, dataset, "base", registry):
            pass
    metric.write_text("def half(answer, expected): return 0.6\n", "utf-8")
    with (
        pytest.raises(RunFolderError, match=r"what .*score\.py holds"),
        open_run(tmp_path / "run", spec, dataset, "base", registry),
    ):
        pass
