"""How many threads a training computes on: measured once per machine, and remembered."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tunewise.settings import Settings
from tunewise.store.files import read_json, write_json

THREADS_FILE = "threads.json"
CLEARLY_FASTER = 1.15
"""torch's own number stays unless another is so many times as fast, which is more than noise."""
MEASURING_SECONDS = 1.0
NUM_ROWS = 512
"""About the tokens of a training step."""
WORTH_MEASURING_SECONDS = 1e-3
"""Products that take less are no use to compare threads by."""


def choose_threads(model: nn.Module, settings: Settings) -> int:
    """The number of threads on which products of the model's shapes are fastest here.

    The choice is remembered in `settings.cache` for this processor, torch and those shapes, so that the same
    seed goes on giving the same bytes. torch's own number stays on a GPU, and where the environment says it.
    """
    default = torch.get_num_threads()
    linears = {module.weight.shape: module.weight for module in model.modules() if type(module) is nn.Linear}
    weights = [linears[shape].detach() for shape in sorted(linears)]
    if settings.threads_are_given or not weights or weights[0].device.type != "cpu":
        return default
    file = settings.cache / THREADS_FILE
    remembered: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        remembered = dict(read_json(file))
    shapes = " ".join("x".join(map(str, shape)) for shape in sorted(linears))
    key = f"{_processor()}, {_logical_cores()} cores, torch {torch.__version__}, {shapes}"
    if key not in remembered:
        remembered[key] = measure_threads(weights, {max(default // 2, 1), default, _logical_cores()})
        with suppress(OSError):  # A home that cannot be written costs a measurement each time, no training.
            write_json(file, remembered)
    return int(remembered[key])


def measure_threads(weights: Sequence[Tensor], candidates: set[int]) -> int:
    """The fastest of `candidates` in products with `weights` [out, in]; torch's number if none clearly is."""
    default = torch.get_num_threads()
    inputs = [torch.ones(NUM_ROWS, weight.shape[1], dtype=weight.dtype) for weight in weights]
    seconds = {default: _time_products(inputs, weights)}
    if seconds[default] < WORTH_MEASURING_SECONDS:
        return default
    ends = time.perf_counter() + MEASURING_SECONDS
    try:
        # In turns, so that a neighbour's load strikes all alike; the best turn is the one it struck least.
        while time.perf_counter() < ends or len(seconds) < len(candidates | {default}):
            for threads in sorted(candidates | {default}):
                torch.set_num_threads(threads)
                _time_products(inputs, weights)  # Starts the threads.
                seconds[threads] = min(seconds.get(threads, float("inf")), _time_products(inputs, weights))
    finally:
        torch.set_num_threads(default)
    fastest = min(seconds, key=lambda threads: seconds[threads])
    return fastest if seconds[fastest] * CLEARLY_FASTER <= seconds[default] else default


def _time_products(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> float:
    started = time.perf_counter()
    for rows, weight in zip(inputs, weights, strict=True):
        F.linear(rows, weight)
    return time.perf_counter() - started


def _logical_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
