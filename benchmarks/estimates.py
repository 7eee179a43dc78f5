"""Whether trainings take what was said before their first step: time within the range, memory not above it.

Trainings of the embedded model on examples/prices.jsonl that differ in the number and order of their
examples, batch size, rank, tuning, micro-batches and validations, each in a process of its own, as memory is
counted by process. The value is the share of trainings that kept to what was said.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from results_file import Figure, write_results
from tunewise.data.dataset import read_dataset
from tunewise.models.base import find_base
from tunewise.progress import SilentProgress
from tunewise.train.fine_tune import fine_tune
from tunewise.train.spec import TrainSpec

PRICES = Path(__file__).parents[1] / "examples" / "prices.jsonl"
TARGET_SHARE = 0.9
TRAININGS: list[dict[str, Any]] = [
    {"examples": 96, "batch_size": 8},
    {"examples": 64, "batch_size": 4, "rank": 8},
    {"examples": 64, "batch_size": 16, "rank": 32},
    {"examples": 40, "batch_size": 2, "rank": 4},
    {"examples": 100, "batch_size": 32},
    {"examples": 48, "batch_size": 8, "validations": 6, "patience": 6},
    {"examples": 24, "batch_size": 8, "epochs": 3},
    {"examples": 80, "batch_size": 8, "target_modules": ["q_proj", "v_proj"]},
    {"examples": 64, "batch_size": 64, "micro_batch_tokens": 512},
    {"examples": 48, "batch_size": 8, "dropout": 0.1},
    {"examples": 32, "batch_size": 8, "tuning": "full"},
    {"examples": 24, "batch_size": 4, "tuning": "scratch"},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, help="train this one of the list, and print its score")
    parser.add_argument("--keep", type=Path, help="a file of scores to go on with and to add to")
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(json.dumps(score(arguments.only)))
        return
    kept: Path | None = arguments.keep
    scores = [json.loads(line) for line in kept.read_text().splitlines()] if kept and kept.is_file() else []
    for number in range(len(scores), len(TRAININGS)):
        command = [sys.executable, __file__, "--only", str(number)]
        scores.append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
        print(describe(TRAININGS[number], scores[-1]), flush=True)
        if kept:
            kept.write_text("".join(json.dumps(line) + "\n" for line in scores))
    print(f"written to {write_results('estimates', figures(scores))}")


def score(number: int) -> dict[str, Any]:
    """What one training of the list says of its estimate."""
    options = dict(TRAININGS[number])
    examples = list(read_dataset(PRICES).examples)
    random.Random(number).shuffle(examples)
    train, validation = examples[: options.pop("examples")], examples[-12:]
    spec = TrainSpec.model_validate({"epochs": 1, "seed": number} | options)
    with tempfile.TemporaryDirectory() as folder:
        summary = fine_tune(find_base(), train, validation, spec, Path(folder), PRICES, SilentProgress())
    assert summary.estimate is not None
    return summary.estimate


def figures(scores: list[dict[str, Any]]) -> list[Figure]:
    ratios = [time_ratio(score, "first") for score in scores]
    refined = [time_ratio(score, "refined") for score in scores if score["refined"]]
    memory = [score["peak_memory_bytes"] / score["first"]["peak_memory_bytes"] for score in scores]
    later = [score["refined_within"] for score in scores if score["refined"]]
    return [
        _share("time within the range, said before step 1", [s["seconds_within"] for s in scores], ratios),
        _share("time within the range, refined after 5% of the steps", later, refined),
        _share("memory not above what was said", [s["memory_within"] for s in scores], memory, target=1.0),
    ]


def time_ratio(score: dict[str, Any], which: str) -> float:
    """What it took over the middle of the range."""
    said = score[which]
    middle: float = (said["seconds_low"] + said["seconds_high"]) / 2
    return float(score["seconds"]) / middle


def _share(what: str, within: list[bool], ratios: list[float], target: float = TARGET_SHARE) -> Figure:
    share, median = sum(within) / len(within), statistics.median(ratios)
    said = "what was said" if target == 1.0 else "the middle of the range"
    return Figure(
        figure=f"{what} ({len(within)} trainings)",
        value=round(share, 3),
        unit="of trainings",
        peer=None,
        ratio=None,
        target=target,
        holds=share >= target,
        limited_by=f"took {min(ratios):.2f} to {max(ratios):.2f} times (median {median:.2f}) {said}",
    )


def describe(options: dict[str, Any], score: dict[str, Any]) -> str:
    first, refined = score["first"], score["refined"]
    later = f", refined {refined['seconds_low']:.1f} to {refined['seconds_high']:.1f} s" if refined else ""
    return (
        f"{options}: {first['seconds_low']:.1f} to {first['seconds_high']:.1f} s{later}, "
        f"took {score['seconds']:.1f} s; {first['peak_memory_bytes'] / 1e9:.2f} GB, "
        f"took {score['peak_memory_bytes'] / 1e9:.2f} GB"
    )


if __name__ == "__main__":
    main()
