"""Serving speed against transformers, llama.cpp and vLLM: same weights, prompts, greedy choice and threads.

Each engine has a process of its own, which stands still while another is measured. They take turns, round
after round, with prompts that are new in every round. A figure's value is the median of the rounds, and its
ratio the median of the ratios within each round.
"""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, closing

from serving.gguf import convert_to_gguf
from serving.process import EngineProcess
from serving.prompts import Prompts
from serving.streams import Workload, measure_streams
from tunewise.models.base import BaseModel, find_base

OURS = "ours"
PEERS = ("transformers", "llama.cpp")


def start(name: str, base: BaseModel, prompts: Prompts, num_threads: int) -> EngineProcess:
    """The engine of this name, loaded and standing still."""
    folder = str(base.folder)
    if name == OURS:
        stop_ids = [str(token) for token in prompts.stop_ids]
        return EngineProcess(name, "local", folder, *stop_ids, num_threads=num_threads)
    if name == "transformers":
        return EngineProcess(name, "transformers_generate", folder, num_threads=num_threads)
    file = str(convert_to_gguf(base))
    return EngineProcess(name, "llama_cpp", file, str(num_threads), num_threads=num_threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--only", default="", help="engines to measure, such as ours,llama.cpp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    arguments = parser.parse_args()
    # So that the engines are closed, and none is left standing still.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    base = find_base()
    prompts = Prompts(base)
    wanted = arguments.only.split(",") if arguments.only else [OURS, *PEERS]
    streams = (1, 4) if arguments.quick else (1, 16, 64)
    workloads = [*map(Workload, streams), Workload(streams[1], long_prompts=True)]
    new_tokens = 8 if arguments.quick else 64
    rounds = 1 if arguments.quick else arguments.rounds
    with ExitStack() as open_engines:
        engines = {
            name: open_engines.enter_context(closing(start(name, base, prompts, arguments.threads)))
            for name in wanted
        }
        linear = open_engines.enter_context(
            closing(
                EngineProcess(
                    "linear layers", "linear_layers", str(base.folder), num_threads=arguments.threads
                )
            )
        )
        for engine in engines.values():
            engine.write(prompts.short(2), new_tokens)  # warm up
        ours = engines.pop(OURS)
        figures = measure_streams(
            ours, list(engines.values()), {}, linear, prompts, workloads, new_tokens, rounds
        )
    for figure in figures:
        print(figure)


if __name__ == "__main__":
    main()
