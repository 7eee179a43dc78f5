"""Training speed against TRL's SFTTrainer with PEFT: same model, token ids, LoRA, start, batches, schedule.

The two take turns in one process, several times; a ratio is that of their best turns, so that a neighbour's
load on the machine strikes neither more than the other. TRL's defaults for GPUs (bf16, gradient
checkpointing) are off on a CPU, where they would only slow it down. Validation loss is that after the same
examples, TRL's computed row by row. Peak memory is that of a process of its own for each, in one step over
4,096 tokens, none of them padding or shared. *Share of peak*: the operations that a step needs for its
matrix products, attention left out, per second of the best turn, over those of one large product.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from results_file import Figure, write_results
from results_page import render_table
from training.operations import count_operations, measure_peak, measure_shares
from training.trainers import ALPHA, RANK, SEED, train_ours, train_trl
from training.workloads import Workload, list_workloads, rows_for_memory
from tunewise.models.base import BaseModel, find_base, load_base
from tunewise.train.lora import add_lora

TRAINERS = {"tunewise": train_ours, "trl": train_trl}
TARGET_SHARE = 0.5
TARGET_LOSS, TARGET_MEMORY = 1.01, 1.0


@dataclass(frozen=True)
class Turns:
    """The best of each trainer's turns on one workload."""

    seconds: dict[str, float]
    losses: dict[str, float]


def take_turns(base: BaseModel, workload: Workload, batch_size: int, rounds: int) -> Turns:
    seconds = dict.fromkeys(TRAINERS, float("inf"))
    losses: dict[str, float] = {}
    for turn in range(rounds):
        for name, train in TRAINERS.items():
            epoch = train(base, workload, batch_size, validate=turn == 0)
            seconds[name] = min(seconds[name], epoch.seconds)
            if epoch.validation_loss is not None:
                losses[name] = epoch.validation_loss
            speed = len(workload.train) / epoch.seconds
            print(f"{workload.name}: round {turn + 1}: {name:9s} {speed:6.2f} examples/s", flush=True)
    return Turns(seconds, losses)


def measure_workload(base: BaseModel, workload: Workload, batch_size: int, rounds: int) -> list[Figure]:
    shares = measure_shares(base, workload.train[:batch_size])
    where = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
    model = load_base(base).model
    add_lora(model, RANK, ALPHA, SEED)
    peak = measure_peak(model)
    turns = take_turns(base, workload, batch_size, rounds)
    peak = max(peak, measure_peak(model))
    batches = range(0, len(workload.train), batch_size)
    needed = sum(count_operations(model, workload.train[i : i + batch_size]) for i in batches)
    reached = needed / turns.seconds["tunewise"]
    examples = len(workload.train)
    tokens = sum(len(row.ids) for row in workload.train) / turns.seconds["tunewise"]
    ratio = turns.seconds["trl"] / turns.seconds["tunewise"]
    loss_ratio = turns.losses["tunewise"] / turns.losses["trl"]
    return [
        Figure(
            f"{workload.name}: speed ({tokens:,.0f} tokens/s)",
            round(examples / turns.seconds["tunewise"], 3),
            "examples/s",
            round(examples / turns.seconds["trl"], 3),
            round(ratio, 3),
            workload.target,
            ratio >= workload.target,
            f"where a step's time goes: {where}",
        ),
        Figure(
            f"{workload.name}: validation loss after {examples} examples",
            round(turns.losses["tunewise"], 5),
            "nats",
            round(turns.losses["trl"], 5),
            round(loss_ratio, 5),
            TARGET_LOSS,
            loss_ratio <= TARGET_LOSS,
            "the same mathematics: rounding is what differs",
        ),
        Figure(
            f"{workload.name}: share of peak",
            round(reached / 1e9, 1),
            "GFLOP/s",
            round(peak / 1e9, 1),
            round(reached / peak, 3),
            TARGET_SHARE,
            reached / peak >= TARGET_SHARE,
            f"matrix products take {shares['matrix products']:.0%} of the time, small ones below the peak",
        ),
    ]


def measure_memory(options: list[str]) -> Figure:
    found = {}
    for name in TRAINERS:
        command = [sys.executable, __file__, "--memory-of", name, *options]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[name] = float(output.split()[-1])
    ratio = found["tunewise"] / found["trl"]
    return Figure(
        "peak memory at 4,096 tokens a step",
        round(found["tunewise"], 2),
        "GiB",
        round(found["trl"], 2),
        round(ratio, 3),
        TARGET_MEMORY,
        ratio <= TARGET_MEMORY,
        "what is kept of each layer for its backward pass; torch and the weights take about 1 GiB",
    )


def print_memory_of(base: BaseModel, name: str) -> None:
    """The peak of this process, in GiB, after one step."""
    rows = rows_for_memory()
    TRAINERS[name](base, Workload("memory", rows, [], 0.0), len(rows), validate=False)
    if torch.cuda.is_available():
        print(torch.cuda.max_memory_allocated() / 2**30)
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with tweet_sentiment.jsonl, us_address_json.jsonl")
    parser.add_argument("--examples", type=int, default=64, help="examples of each data set")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--base", default="embedded", help="as `tunewise run --base`")
    parser.add_argument(
        "--quick", action="store_true", help="the bundled data only, one batch; writes nothing"
    )
    parser.add_argument("--memory-of", choices=TRAINERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: there is no CUDA GPU here")
    os.environ["TUNEWISE_DEVICE"] = arguments.device
    base = find_base(arguments.base)
    if arguments.memory_of:
        print_memory_of(base, arguments.memory_of)
        return

    tokenizer = load_base(base).tokenizer
    if arguments.quick:
        for workload in list_workloads(tokenizer, None, arguments.batch_size):
            figures = measure_workload(base, workload, arguments.batch_size, rounds=1)
            print(render_table([vars(figure) for figure in figures]))
        return
    figures = [measure_memory(["--device", arguments.device, "--base", arguments.base])]
    for workload in list_workloads(tokenizer, arguments.data, arguments.examples):
        figures += measure_workload(base, workload, arguments.batch_size, arguments.rounds)
        # After each, as all of them take long.
        results = write_results("train_speed", figures)
    print(render_table([vars(figure) for figure in figures]))
    print(f"written to {results}")


if __name__ == "__main__":
    main()
