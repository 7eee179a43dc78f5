"""What training that is left to `auto` loses against the best of four learning rates, tried on the test set.

Each data set is split once: up to 500 rows for the test, whole groups, 100 for validation, and up to 800 to
train on. One model is trained with the spec as it is by default, and one with each rate of the grid, all else
alike. The figure is the paired gain of `auto` over the best of the grid, which nobody would know beforehand,
in exact match. Data sets that are not named keep the figures of the last run. Stopped and started again, it
goes on where it was, within a training too.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from results_file import RESULTS, Figure, write_results
from tunewise.approaches.prompted import fine_tuned
from tunewise.data.dataset import read_dataset, sha256_of_data
from tunewise.engines import open_engine
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import ScoredRun, choose_decoding, run_approach, value_of
from tunewise.evaluate.stats import paired_gain
from tunewise.models.base import BaseModel, find_base
from tunewise.progress import SilentProgress
from tunewise.records import Example
from tunewise.store.run_folder import RunFolder
from tunewise.train.fine_tune import MODEL_FOLDER, fine_tune, remove_checkpoints
from tunewise.train.spec import TrainSpec

PRICES = Path(__file__).parents[1] / "examples" / "prices.jsonl"
RATES = (5e-4, 1e-3, 2e-3, 4e-3)
SIZES = {"test": 500, "validation": 100, "train": 800}
LARGEST_LOSS = 0.04
TUNED = "tuned"
METRIC = "exact_match"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="*", default=[PRICES], help="files of examples")
    parser.add_argument("--train", type=int, default=SIZES["train"], help="most training examples")
    parser.add_argument("--test", type=int, default=SIZES["test"], help="most test examples")
    parser.add_argument("--work", type=Path, default=Path("runs/auto_grid"), help="folder for what is done")
    arguments = parser.parse_args()
    base = find_base()
    for data in arguments.data:
        sizes = {**SIZES, "train": arguments.train, "test": arguments.test}
        sides = deal(read_dataset(data).examples, sizes)
        figure = compare(base, data, arguments.work, *sides)
        others = [other for other in kept_figures() if other.figure != figure.figure]
        print(f"written to {write_results('auto_grid', [*others, figure])}", flush=True)


def compare(
    base: BaseModel,
    data: Path,
    work: Path,
    test: list[Example],
    validation: list[Example],
    train: list[Example],
) -> Figure:
    """`auto` against the grid on one data set."""
    default = TrainSpec()
    measured: dict[float, ScoredRun] = {}
    for rate in sorted({auto_rate(default, len(train)), *RATES}):
        spec = default.model_copy(update={"learning_rate": rate})
        measured[rate] = test_of(base, data, work / f"{data.stem}-{rate:g}", spec, train, validation, test)
        print(f"{data.stem}, rate {rate:g}: {measured[rate].mean(METRIC):.1%} right", flush=True)
    auto = measured[auto_rate(default, len(train))]
    best_rate = max(RATES, key=lambda rate: measured[rate].mean(METRIC))
    groups = {example.id: example.group for example in test}
    gain = paired_gain(values_of(auto), values_of(measured[best_rate]), groups, np.random.default_rng(0))
    right = ", ".join(f"{rate:g}: {run.mean(METRIC):.1%}" for rate, run in measured.items())
    return Figure(
        figure=f"{data.stem}: exact match of `auto` on {len(test)} test rows (peer: the best of the grid)",
        value=round(auto.mean(METRIC), 4),
        unit="share right",
        peer=round(measured[best_rate].mean(METRIC), 4),
        ratio=None,
        target=None,
        holds=gain.estimate >= -LARGEST_LOSS,
        limited_by=f"gain {gain.estimate:+.1%} [{gain.low:+.1%}, {gain.high:+.1%}]; by rate, {right}",
    )


def auto_rate(spec: TrainSpec, num_examples: int) -> float:
    """The learning rate that `auto` stands for."""
    return spec.resolve(num_examples).learning_rate


def deal(examples: Sequence[Example], sizes: dict[str, int]) -> list[list[Example]]:
    """Test, validation and training examples: groups in random order, each whole on one side."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.group, []).append(example)
    order = list(groups.values())
    random.Random(0).shuffle(order)
    sides: list[list[Example]] = []
    for size in sizes.values():
        side: list[Example] = []
        while order and len(side) < size:
            side += order.pop()
        sides.append(side)
    return sides


def test_of(
    base: BaseModel,
    data: Path,
    work: Path,
    spec: TrainSpec,
    train: list[Example],
    validation: list[Example],
    test: list[Example],
) -> ScoredRun:
    """What a model that is trained by `spec` answers."""

    def learn() -> float:
        return fine_tune(base, train, validation, spec, work, data, SilentProgress()).validation_loss

    def ask() -> dict[str, Any]:
        with closing(open_engine(base)) as engine:
            engine.load(TUNED, work / MODEL_FOLDER)
            decoding = choose_decoding(engine, choose_scoring(train), train)
            return run_approach(fine_tuned(TUNED), test, engine, decoding, SilentProgress()).to_json()

    identity = {
        "data": sha256_of_data(data),
        "sides": [[example.id for example in side] for side in (train, validation, test)],
        **spec.identity(),
    }
    with RunFolder(work, identity) as folder:
        folder.stage("train", learn)
        remove_checkpoints(work)
        return ScoredRun.from_json(folder.stage("test", ask).value)


def values_of(run: ScoredRun) -> dict[str, float]:
    """Exact match by example id, where it is defined."""
    values = {score.example_id: value_of(score, METRIC) for score in run.scores}
    return {name: value for name, value in values.items() if value is not None}


def kept_figures() -> list[Figure]:
    """Those of earlier runs."""
    file = RESULTS / "auto_grid.json"
    return [Figure(**figure) for figure in json.loads(file.read_text())["figures"]] if file.is_file() else []


if __name__ == "__main__":
    main()
