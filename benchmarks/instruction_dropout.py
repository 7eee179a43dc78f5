"""How large a share of the training examples has to keep its instruction, by accuracy with and without it.

The tuned model is asked without its instruction; who sends it all the same should not get worse answers. For
each share one model is trained, and asked about the sealed test set both ways.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import fmean

from results_file import Figure, write_results
from tunewise.approaches.prompted import Prompted
from tunewise.data.dataset import read_dataset
from tunewise.data.instructions import common_instruction
from tunewise.data.split import Split, split_examples
from tunewise.engines import open_engine
from tunewise.evaluate.metrics.scoring import choose_scoring
from tunewise.evaluate.runner import choose_decoding, run_approach
from tunewise.models.base import BaseModel, find_base
from tunewise.progress import SilentProgress
from tunewise.train.fine_tune import MODEL_FOLDER, fine_tune
from tunewise.train.spec import TrainSpec

PRICES = Path(__file__).parents[1] / "examples" / "prices.jsonl"
LARGEST_GAP = 0.03
TUNED = "tuned"


def scores(base: BaseModel, split: Split, share: float, seed: int) -> tuple[float, float]:
    """Exact match on the test set (without, with) the instruction, of a model trained with this share."""
    instruction = common_instruction(split.train)
    with tempfile.TemporaryDirectory() as folder:
        spec = TrainSpec(instruction_share=share, seed=seed)
        fine_tune(base, split.train, split.validation, spec, Path(folder), PRICES, SilentProgress())
        with closing(open_engine(base)) as engine:
            engine.load(TUNED, Path(folder) / MODEL_FOLDER)
            decoding = choose_decoding(engine, choose_scoring(split.train), split.train)
            test = split.test.read(f"instruction share {share}")
            without, under = (
                run_approach(approach, test, engine, decoding, SilentProgress()).mean("exact_match")
                for approach in (Prompted("without", TUNED), Prompted("with", TUNED, instruction))
            )
    return without, under


def figure_of(share: float, split: Split, measured: Sequence[tuple[float, float]]) -> Figure:
    """`measured` are the `scores` of each seed."""
    without, under = (fmean(side) for side in zip(*measured, strict=True))
    return Figure(
        figure=f"{share:.0%} of {len(split.train)} training examples under their instruction: exact match "
        f"on {len(split.test)} without it (peer: with it)",
        value=round(without, 4),
        unit="share right",
        peer=round(under, 4),
        ratio=round(without / under, 3),
        target=None,
        holds=abs(without - under) <= LARGEST_GAP,
        limited_by="what the model learned; one example is 0.4 points",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()

    base = find_base()
    split = split_examples(read_dataset(PRICES).examples, seed=0, path=PRICES)
    figures = []
    for share in arguments.shares:
        measured = []
        for seed in arguments.seeds:
            measured.append(scores(base, split, share, seed))
            without, under = measured[-1]
            print(f"share {share:g}, seed {seed}: {without:.4f} without, {under:.4f} with", flush=True)
        figures.append(figure_of(share, split, measured))
    print(f"written to {write_results('instruction_dropout', figures)}")


if __name__ == "__main__":
    main()
