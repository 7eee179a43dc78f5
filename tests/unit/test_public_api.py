from __future__ import annotations

import subprocess
import sys

import pytest

import tunewise


def test_every_public_name_is_there() -> None:
    for name in tunewise.__all__:
        assert getattr(tunewise, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = tunewise.magic


@pytest.mark.parametrize(
    "module",
    ["tunewise", "tunewise.decide.verdict", "tunewise.decide.compare", "tunewise.run_spec", "tunewise.cli",
     "tunewise.evaluate.stats", "tunewise.evaluate.metrics.scoring", "tunewise.train.spec",
     "tunewise.report.html", "tunewise.retrieval.hits", "tunewise.approaches.rag_training"],
)  # fmt: skip
def test_what_needs_no_torch_imports_none(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
