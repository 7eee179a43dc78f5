"""One file checked in this process, which therefore loads nothing else: `check_scale.py` starts it.

python -m planting.measured_check FILE cheap|all [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import json
import time
from pathlib import Path

from tunewise.checking import CheckSpec, check
from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import CheckedData
from tunewise.data.sources import scan_examples

CHEAP, ALL = "cheap", "all"


def measure(path: Path, cost: str) -> dict[str, float]:
    """Seconds by check (and of reading) and in total, and peak memory in GB, of this process."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    if cost == ALL:
        check(CheckSpec(data=path))
    else:
        scan = scan_examples(path)
        seconds["reading"] = time.perf_counter() - start
        data = CheckedData(path, scan.examples, scan.rejected)
        for each in ALL_CHECKS:
            if each.cost == "cheap":
                before = time.perf_counter()
                list(each.find(data))
                seconds[each.code] = time.perf_counter() - before
    seconds["total"] = time.perf_counter() - start
    return seconds | {"memory_gb": _peak_memory_gb()}


def _peak_memory_gb() -> float:
    """Linux only. `getrusage` would name the peak of the process that started this one if that was higher."""
    status = Path("/proc/self/status").read_text("ascii")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("cost", choices=(CHEAP, ALL))
    parser.add_argument(
        "--profile", action="store_true", help="say where the time goes, function by function"
    )
    arguments = parser.parse_args()
    if arguments.profile:
        cProfile.runctx("measure(arguments.file, arguments.cost)", globals(), locals(), sort="cumulative")
    else:
        print(json.dumps(measure(arguments.file, arguments.cost)))


if __name__ == "__main__":
    main()
