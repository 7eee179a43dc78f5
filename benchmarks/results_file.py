"""The one format of benchmark results: `benchmarks/results/NAME.json`."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from results_page import write_page
from tunewise.store.files import write_json

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured figure. `ratio` is value over `peer`; `holds` says whether `target` was reached."""

    figure: str
    value: float
    unit: str
    peer: float | None
    ratio: float | None
    target: float | None
    holds: bool | None
    limited_by: str


def write_results(name: str, figures: list[Figure]) -> Path:
    """Write the figures beside the machine they were measured on, and the page of all; returns the file."""
    machine = {
        # Processors of one name may compute twice as fast with the wider vectors.
        "processor": f"{_processor()} ({torch.backends.cpu.get_cpu_capability()})",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "torch": version("torch"),
    }
    path = RESULTS / f"{name}.json"
    date = time.strftime("%Y-%m-%d")
    write_json(path, {"machine": machine, "date": date, "figures": [asdict(figure) for figure in figures]})
    write_page()
    return path


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
