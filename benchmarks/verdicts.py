"""Runs whose verdict is known beforehand, each as a user would start it, within the minutes given.

Prints what each said, whether that is right, and where its time went; the exit status is 1 if one is wrong.
Stopped and started again, it goes on where it was. Cases that are not named keep the figures of the last run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from known_verdicts.cases import CASES, Case
from results_file import RESULTS, Figure, write_results
from tunewise import RunSpec, Verdict, run
from tunewise.cli.progress import RichProgress
from tunewise.store.files import read_json, write_json

MAX_MINUTES = 10
FEWEST_COMPARED = 100
"""Test examples from which on a test has to be as quick as training."""
PARTS = {
    "plan-time": "planning",
    "choose-prompts": "choosing prompts",
    "train-": "training",
    "test-": "tests",
    "parity-": "certificates",
}
"""What the stages of a run belong to, by how their names begin."""


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    case: Case
    seed: int
    verdict: Verdict
    seconds: float
    timings: Mapping[str, float]
    """Of the stages."""
    complaint: str | None
    """What is wrong with it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help="a part of the names of the cases to run; by default all")
    parser.add_argument("--minutes", type=float, default=MAX_MINUTES, help="for each run")
    parser.add_argument("--work", type=Path, default=Path("runs/verdicts"), help="folder for the runs")
    arguments = parser.parse_args()
    chosen = [case for case in CASES if any(part in case.name for part in arguments.cases or [""])]
    outcomes = [
        judge(case, seed, arguments.work.resolve(), arguments.minutes)
        for case in chosen
        for seed in case.seeds
    ]
    figures = [figure for outcome in outcomes for figure in report(outcome, arguments.minutes)]
    kept = [old for old in kept_figures() if old.figure not in {new.figure for new in figures}]
    print(f"written to {write_results('verdicts', [*kept, *figures])}")
    sys.exit(any(outcome.complaint for outcome in outcomes))


def judge(case: Case, seed: int, work: Path, minutes: float) -> Outcome:
    """Make the data, unless it is there, run, and look at what came out."""
    name = "".join(c if c.isalnum() else "-" for c in case.name)
    folder = work / f"{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    data, documents = folder / "examples.jsonl", folder / "documents.jsonl"
    if not data.is_file():
        case.write(data, work / "fetched")
    docs = documents if documents.is_file() else None
    spec = RunSpec(data=data, docs=docs, seed=seed, suffix=name[:18].strip("-"), max_minutes=minutes)
    print(f"\n== {case.name}, seed {seed}", flush=True)
    started = time.monotonic()
    verdict = run(spec, folder / "run", RichProgress())
    timings = read_json(folder / "run" / "manifest.json")["timings"]
    lasted = folder / "seconds.json"
    if not lasted.is_file():
        # What an earlier attempt has done counts as well.
        write_json(lasted, max(time.monotonic() - started, sum(timings.values())))
    return Outcome(case, seed, verdict, read_json(lasted), timings, complain(case, verdict, timings, work))


def complain(case: Case, verdict: Verdict, timings: Mapping[str, float], work: Path) -> str | None:
    """What is wrong with the run; None where all is right."""
    if verdict.recommendation not in case.verdicts:
        return f"{verdict.recommendation} is not {' or '.join(sorted(case.verdicts))}"
    codes = [reason.code for reason in verdict.reasons]
    if case.code is not None and case.code not in codes:
        return f"no reason is {case.code}, only {', '.join(codes)}"
    slowest = max(seconds for stage, seconds in timings.items() if stage.startswith("test-"))
    of_200 = slowest * 200 / verdict.test_examples
    training = sum(seconds for stage, seconds in timings.items() if stage.startswith("train-"))
    # A few examples are trained on in no time.
    if verdict.test_examples >= FEWEST_COMPARED and of_200 > training:
        return f"testing one rival on 200 examples takes {of_200:.0f} s, longer than training"
    return case.check(verdict, work) if case.check else None


def report(outcome: Outcome, minutes: float) -> Iterator[Figure]:
    """One line for people, and the figures."""
    verdict, name = outcome.verdict, f"{outcome.case.name}, seed {outcome.seed}"
    shares = share_out(outcome.timings)
    where = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in shares.items())
    ending = outcome.complaint or "right"
    print(f"{name}: {verdict.recommendation} ({verdict.reasons[0].code}): {ending}\n  {verdict.headline}")
    print(f"  {outcome.seconds / 60:.1f} min: {where}")
    yield Figure(
        figure=f"{name}: {verdict.recommendation} ({verdict.reasons[0].code})",
        value=round(outcome.seconds / 60, 2),
        unit="min",
        peer=None,
        ratio=None,
        target=minutes,
        holds=outcome.complaint is None and outcome.seconds <= 60 * minutes,
        limited_by="; ".join(filter(None, [outcome.complaint, verdict.headline.rstrip("."), where])),
    )


def share_out(timings: Mapping[str, float]) -> dict[str, float]:
    """Seconds by part of the run, the longest first."""
    shares: dict[str, float] = {}
    for stage, seconds in timings.items():
        part = next((part for start, part in PARTS.items() if stage.startswith(start)), "the rest")
        shares[part] = shares.get(part, 0.0) + seconds
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def kept_figures() -> list[Figure]:
    """Those of the last time, each with the day it is of, as that of the file will be another."""
    file = RESULTS / "verdicts.json"
    if not file.is_file():
        return []
    kept: dict[str, Any] = read_json(file)
    return [Figure(**dated(figure, kept["date"])) for figure in kept["figures"]]


def dated(figure: dict[str, Any], date: str) -> dict[str, Any]:
    """The figure with the day on which it was measured, unless it says one."""
    reasons = figure["limited_by"]
    return figure if "measured on" in reasons else {**figure, "limited_by": f"{reasons}; measured on {date}"}


if __name__ == "__main__":
    main()
