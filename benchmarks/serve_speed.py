"""Serving speed against transformers, llama.cpp and vLLM: same weights, prompts, greedy choice and threads.

Each engine has a process of its own, which stands still while another is measured. They take turns, round
after round, with other prompts in every round. A figure's value is the median of the rounds, and its ratio
the median of the ratios within each round.

Prompts are real rows: an instruction and an input, or ("long") eight rows as earlier turns before it. Every
stream writes 64 tokens, whatever they are: the peers are told to ignore the end of turn, and in our engine a
logit bias bans it, which costs us a little. Ours also lays out and tokenises the messages within the
measured time; the peers are given token ids. In the evaluation answers end by themselves. What an engine
reuses of prompts is left as it is by default: ours shares the instruction's keys and values among streams,
vLLM only whole blocks of 128 tokens, llama.cpp within a slot, transformers nothing. The weights are the same
numbers, in fp32, and for llama.cpp in F16. The time to the first token is the median over the streams, which
start at once.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path

from results_file import Figure, write_results
from results_page import render_table
from serving.adapters import measure_adapters
from serving.bench import Bench
from serving.evaluation import measure_evaluation
from serving.gguf import convert_to_gguf
from serving.process import EngineProcess
from serving.prompts import Prompts
from serving.streams import Workload, measure_streams
from tunewise.models.base import BaseModel, find_base
from tunewise.settings import get_settings

OURS, TRANSFORMERS, LLAMA_CPP, VLLM = "ours", "transformers", "llama.cpp", "vLLM"
ENGINES = (OURS, TRANSFORMERS, LLAMA_CPP, VLLM)
LINEAR = "linear layers"
PARTS = ("streams", "adapters", "evaluation")
EVALUATION_ROUNDS = 3
"""Fewer than of the rest, because one takes minutes."""
WARM_UP_TOKENS = 8


def main() -> None:
    arguments = parse_arguments()
    # An exception closes the engines; without it they would be left behind, standing still.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    base = find_base()
    prompts = Prompts(base)

    def start(name: str) -> EngineProcess:
        return start_engine(name, base, prompts, arguments.threads)

    if arguments.profile:
        with closing(start(OURS)) as ours:
            print(profile(ours, prompts, arguments.profile))
        return
    figures = measure(arguments, base, prompts, start)
    print(render_table([asdict(figure) for figure in figures]))
    if not arguments.quick and set(arguments.only) == set(ENGINES) and set(arguments.parts) == set(PARTS):
        print(f"written to {write_results('serve_speed', figures)}")


def parse_arguments() -> argparse.Namespace:
    """What is measured: everything, and written to the results, unless something narrows it."""
    parser = argparse.ArgumentParser(
        description="Measure serving speed. vLLM takes part where TUNEWISE_VLLM is the path of its "
        "executable, `bin/vllm` of an environment of its own."
    )
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it runs")
    parser.add_argument("--only", type=_names(ENGINES), default=ENGINES, help=f"of {','.join(ENGINES)}")
    parser.add_argument("--parts", type=_names(PARTS), default=PARTS, help=f"of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--profile", type=int, metavar="STREAMS", help="where our engine's time goes instead")
    return parser.parse_args()


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def names(value: str) -> tuple[str, ...]:
        given = tuple(value.split(","))
        unknown = set(given) - set(known)
        if unknown:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)} here: give some of {','.join(known)}")
        return given

    return names


def start_engine(name: str, base: BaseModel, prompts: Prompts, num_threads: int) -> EngineProcess:
    """The engine of this name, loaded and standing still."""
    print(f"starting {name}", flush=True)
    folder = str(base.folder)
    if name == OURS:
        return EngineProcess(name, "local", folder, *map(str, prompts.stop_ids), num_threads=num_threads)
    if name == TRANSFORMERS:
        return EngineProcess(name, "transformers_generate", folder, num_threads=num_threads)
    if name == LLAMA_CPP:
        file = str(convert_to_gguf(base))
        return EngineProcess(name, "llama_cpp", file, str(num_threads), num_threads=num_threads)
    if name == VLLM:
        executable = vllm_executable()
        assert executable is not None
        # Three processes, as by default, wait for one another and are slower on so few cores (`docs/log.md`).
        alone = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        python = executable.parent / "python"
        return EngineProcess(
            name, "vllm_cpu", folder, num_threads=num_threads, python=python, environment=alone
        )
    return EngineProcess(name, "linear_layers", folder, num_threads=num_threads)


def vllm_executable() -> Path | None:
    """`bin/vllm` of vLLM's own environment, where there is one."""
    found = shutil.which(get_settings().vllm)
    return Path(found) if found else None


def measure(
    arguments: argparse.Namespace, base: BaseModel, prompts: Prompts, start: Callable[[str], EngineProcess]
) -> list[Figure]:
    """The figures of the parts that are asked for."""
    few, some, many = (1, 2, 4) if arguments.quick else (1, 16, 64)
    absent = {}
    if VLLM in arguments.only and vllm_executable() is None:
        absent[VLLM] = "not measured: TUNEWISE_VLLM names no vllm executable"
    figures: list[Figure] = []
    with ExitStack() as started:
        wanted = [name for name in ENGINES if name == OURS or (name in arguments.only and name not in absent)]
        engines = {name: started.enter_context(closing(start(name))) for name in [*wanted, LINEAR]}
        ours, linear = engines.pop(OURS), engines.pop(LINEAR)
        new_tokens, rounds = (8, 1) if arguments.quick else (64, arguments.rounds)
        bench = Bench(ours, list(engines.values()), absent, linear, prompts, new_tokens, rounds)
        for engine in [ours, *bench.peers]:
            engine.write(prompts.short(many), WARM_UP_TOKENS)
        if "streams" in arguments.parts:
            workloads = [*map(Workload, (few, some, many)), Workload(some, long_prompts=True)]
            figures += measure_streams(bench, workloads)
        if "adapters" in arguments.parts:
            figures += measure_adapters(bench, base, (some, many))
        if "evaluation" in arguments.parts and TRANSFORMERS in engines:
            bench = replace(bench, rounds=min(rounds, EVALUATION_ROUNDS))
            num_inputs, batch_sizes = (8, (4, 8)) if arguments.quick else (200, (16, 32, 64))
            figures.append(measure_evaluation(bench, engines[TRANSFORMERS], num_inputs, batch_sizes))
    return figures


def profile(ours: EngineProcess, prompts: Prompts, streams: int) -> str:
    """The operations of our engine that take the most time at this number of streams."""
    ours.write(prompts.short(streams), WARM_UP_TOKENS)
    drawn = [asdict(prompt) for prompt in prompts.short(streams)]
    return str(ours.call("profile", prompts=drawn, tokens=64))


if __name__ == "__main__":
    main()
