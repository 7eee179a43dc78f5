"""The folder of a finished run, written without any model, for the tests of what reads it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from measured_runs import PARITY
from tunewise.decide.compare import compare
from tunewise.decide.measurements import Disagreement, FactOrSkill, Findings, TrainedArm
from tunewise.decide.verdict import decide
from tunewise.evaluate.judge import Judgement
from tunewise.evaluate.runner import ScoredRun
from tunewise.evaluate.stats import PairedGain
from tunewise.publish import write_run_files
from tunewise.records import Consistency, Estimate, Score, Verdict

MODEL = "ft:toy:local:prices:4fj2x9"
FINDINGS = Findings(
    primary_metric="exact_match",
    unique_examples=400,
    floors=("majority", "nearest-copy"),
    best_untrained="few-shot",
    best_closed_book="few-shot",
    seed=7,
    currency="GBP",
    hourly_price=0.10,
    hourly_price_is_assumed=True,
    arms=(TrainedArm("fine-tuned", MODEL, 123.456, PARITY),),
    fact_or_skill=FactOrSkill(0.86, 0.05, 0.7, 300, Estimate(0.9, 0.8, 1.0), None),
    disagreement=Disagreement(0.01, 25),
    consistency={"few-shot": Consistency(0.7, 0.2, 0.9, 0.6, 20, 1.0)},
    judgements=(
        Judgement(
            "embedded",
            "fine-tuned",
            "few-shot",
            20,
            70,
            10,
            60,
            12,
            0,
            PairedGain(0.1, -0.01, 0.2, 0.03, 0.3, 1.0),
        ),
    ),
)
RIGHT = {"majority": 5, "nearest-copy": 11, "few-shot": 70, "fine-tuned": 71}


def scored(approach: str, right: int, n: int = 100) -> ScoredRun:
    scores = tuple(
        Score(
            approach, f"e{i}", f"g{i % 60}", "answered", "{}", "{}",
            {"exact_match": float(i < right), "json_field_accuracy": i / 200, "knowing": None, "form": 1.0},
            40 + i, 17, round(100 / (i + 3), 3),
        )
        for i in range(n)
    )  # fmt: skip
    return ScoredRun(scores, seconds=n / 7)


def write_run(folder: Path, *, forced: bool = False) -> Verdict:
    """A run in which training gained what may be chance; returns its verdict."""
    runs = {name: scored(name, right) for name, right in RIGHT.items()}
    verdict = decide(compare(runs, FINDINGS), forced=forced)
    manifest = {
        "spec": {"force": forced},
        "findings": asdict(FINDINGS),
        "test_seconds": {name: run.seconds for name, run in runs.items()},
    }
    write_run_files(folder, verdict, runs, manifest, ())
    return verdict
