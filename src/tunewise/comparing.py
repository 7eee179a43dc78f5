"""Two finished runs side by side: the scores of each approach, paired where both were asked the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunewise.decide.compare import compare_pair, summarise
from tunewise.deciding import decide_again
from tunewise.errors import SpecError
from tunewise.evaluate.runner import ScoredRun, value_of
from tunewise.evaluate.stats import PairedGain
from tunewise.finished_run import FinishedRun, read_finished_run
from tunewise.records import ApproachResult, Verdict
from tunewise.store.run_folder import describe_differences


@dataclass(frozen=True, slots=True)
class ComparedApproach:
    """One approach in both runs."""

    name: str
    first: ApproachResult | None
    second: ApproachResult | None
    """None where the run had no such approach."""
    gain: PairedGain | None
    """What the second gains over the first on the examples that both were tested with; None without any."""
    shared_examples: int


@dataclass(frozen=True, slots=True)
class RunComparison:
    """What two runs have in common, and what not."""

    folders: tuple[Path, Path]
    verdicts: tuple[Verdict, Verdict]
    metric: str
    differences: str
    """Of what they were asked to do, in words; empty where that is the same."""
    shared_examples: int
    """Test examples of both."""
    approaches: tuple[ComparedApproach, ...]

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        first, second = self.verdicts
        return {
            "runs": [str(folder) for folder in self.folders],
            "recommendations": [first.recommendation, second.recommendation],
            "headlines": [first.headline, second.headline],
            "metric": self.metric,
            "differences": self.differences,
            "shared_examples": self.shared_examples,
            "approaches": [asdict(approach) for approach in self.approaches],
        }


def compare_runs(first: Path, second: Path) -> RunComparison:
    """Compare what is in two run folders, on the primary metric of the first.

    Raises `RunFolderError` for a folder without a finished run, and `SpecError` where the second run did not
    measure that metric.
    """
    runs = read_finished_run(first), read_finished_run(second)
    metric = runs[0].findings.primary_metric
    if not any(metric in score.metrics for run in runs[1].runs.values() for score in run.scores):
        raise SpecError(
            f"{first} decides by {metric}, which {second} did not measure: run one of them with the other's "
            "--metric"
        )
    names = dict.fromkeys((*runs[0].runs, *runs[1].runs))
    return RunComparison(
        folders=(first, second),
        verdicts=(decide_again(runs[0]), decide_again(runs[1])),
        metric=metric,
        differences=describe_differences(*(_asked(run) for run in runs)),
        shared_examples=len(_example_ids(runs[0]) & _example_ids(runs[1])),
        approaches=tuple(_compare_approach(name, *runs, metric) for name in names),
    )


def _compare_approach(name: str, first: FinishedRun, second: FinishedRun, metric: str) -> ComparedApproach:
    sides = [_summarise(name, run, metric) for run in (first, second)]
    gain, shared = None, 0
    if name in first.runs and name in second.runs:
        both = _on_shared_examples(first.runs[name], second.runs[name], metric)
        compared = compare_pair("second", "first", both, metric, first.findings.seed) if both else None
        gain, shared = compared or (None, 0)
    return ComparedApproach(name, sides[0], sides[1], gain, shared)


def _summarise(name: str, run: FinishedRun, metric: str) -> ApproachResult | None:
    if name not in run.runs:
        return None
    found = run.findings
    return summarise(
        name, run.runs[name], metric, found.hourly_price, found.seed, found.token_prices.get(name)
    )


def _on_shared_examples(first: ScoredRun, second: ScoredRun, metric: str) -> dict[str, ScoredRun]:
    """Both runs, without the examples that only one was tested with; empty where there are none."""
    defined = [
        {s.example_id for s in run.scores if value_of(s, metric) is not None} for run in (first, second)
    ]
    shared = defined[0] & defined[1]
    if not shared:
        return {}
    parts = (tuple(s for s in run.scores if s.example_id in shared) for run in (first, second))
    return {name: ScoredRun(part, 0.0) for name, part in zip(("first", "second"), parts, strict=True)}


def _example_ids(run: FinishedRun) -> set[str]:
    return {score.example_id for scored in run.runs.values() for score in scored.scores}


def _asked(run: FinishedRun) -> dict[str, Any]:
    """What decides a run's numbers, one level deep."""
    spec = dict(run.manifest["spec"])
    training = spec.pop("training", None) or {}
    hashes = {name: (run.manifest.get(name) or {}).get("sha256") for name in ("data", "base")}
    return {**spec, **{f"training.{name}": value for name, value in training.items()}, **hashes}
