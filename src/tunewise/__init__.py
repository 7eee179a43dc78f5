"""tunewise: should I fine-tune, or is a better prompt enough? Answered by measurement on your own examples.

    from pathlib import Path
    import tunewise

    verdict = tunewise.run(tunewise.RunSpec(data=Path("examples/prices.jsonl")), Path("runs/prices"))
    print(verdict.headline)

Importing this package imports nothing heavy; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunewise.checking import CheckReport as CheckReport
    from tunewise.checking import CheckSpec as CheckSpec
    from tunewise.checking import check as check
    from tunewise.deciding import decide_run as decide_run
    from tunewise.errors import TunewiseError as TunewiseError
    from tunewise.evaluating import Evaluation as Evaluation
    from tunewise.evaluating import EvaluationSpec as EvaluationSpec
    from tunewise.evaluating import evaluate_model as evaluate_model
    from tunewise.pipeline import run as run
    from tunewise.records import Verdict as Verdict
    from tunewise.run_spec import RunSpec as RunSpec
    from tunewise.run_spec import TuneSpec as TuneSpec
    from tunewise.train.spec import TrainSpec as TrainSpec
    from tunewise.training import tune as tune

_HOMES = {
    "CheckReport": "tunewise.checking",
    "CheckSpec": "tunewise.checking",
    "Evaluation": "tunewise.evaluating",
    "EvaluationSpec": "tunewise.evaluating",
    "RunSpec": "tunewise.run_spec",
    "TrainSpec": "tunewise.train.spec",
    "TuneSpec": "tunewise.run_spec",
    "TunewiseError": "tunewise.errors",
    "Verdict": "tunewise.records",
    "check": "tunewise.checking",
    "decide_run": "tunewise.deciding",
    "evaluate_model": "tunewise.evaluating",
    "run": "tunewise.pipeline",
    "tune": "tunewise.training",
}
__all__ = [
    "CheckReport",
    "CheckSpec",
    "Evaluation",
    "EvaluationSpec",
    "RunSpec",
    "TrainSpec",
    "TuneSpec",
    "TunewiseError",
    "Verdict",
    "check",
    "decide_run",
    "evaluate_model",
    "run",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'tunewise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
