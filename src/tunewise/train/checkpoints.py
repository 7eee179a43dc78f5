"""Checkpoints: all that an interrupted training needs to end with the same bytes as one never interrupted.

The order of the examples, the schedule and what dropout draws follow from the spec and the number of the
step. So a checkpoint is that number, the weights, the optimiser's moments, the best weights so far and what
was measured. It is one file, written whole or not at all, and the one before it is kept beside it.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tunewise.errors import RunFolderError
from tunewise.store.files import TEMPORARY, new_file
from tunewise.store.run_folder import describe_differences
from tunewise.train.watch import StepMetrics

CHECKPOINTS_FOLDER = "checkpoints"
KEPT = 2
"""The one that a damaged newest one falls back on is among them."""
WRITING_SHARE = 0.05
"""Writing may take this share of the time, so that large models are written less often."""


@dataclass(slots=True)
class TrainState:
    """Where a training stands, beside the weights that it trains and the optimiser's moments."""

    micro_batch_tokens: int
    threads: int
    """Of the processor; another number may round sums otherwise."""
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_loss: float = math.inf
    """Inf until the first validation."""
    stale_validations: int = 0
    """Validations since the best one."""
    metrics: list[StepMetrics] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_logprobs: list[list[float]] = field(default_factory=list)
    """What the best weights said of the first validation rows: see `TrainingResult.logprobs`."""


class Checkpoints:
    """The checkpoints of one training, in a folder of their own."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], min_seconds: float) -> None:
        """`identity` (JSON values) is what a training must have in common with one that it goes on from."""
        self._folder = folder
        self._identity = dict(identity)
        self._min_seconds = min_seconds
        self._written_at = time.monotonic()
        self._writing_seconds = 0.0

    def is_due(self) -> bool:
        """Whether it is time to write one."""
        if self._min_seconds == 0:
            return True
        wait = max(self._min_seconds, self._writing_seconds / WRITING_SHARE)
        return time.monotonic() - self._written_at >= wait

    def write(
        self, state: TrainState, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Keep everything. Raises `RunFolderError` (a full disk), with the one before untouched."""
        started = time.monotonic()
        tensors = {f"weights/{name}": weight.detach() for name, weight in weights.items()}
        tensors |= {f"best/{name}": weight for name, weight in state.best_weights.items()}
        moments = optimizer.state_dict()["state"]
        tensors |= {
            f"moments/{i}/{key}": value for i, of_one in moments.items() for key, value in of_one.items()
        }
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        values = asdict(replace(state, best_weights={}))
        values["best_loss"] = state.best_loss if math.isfinite(state.best_loss) else None
        header = {"state": values, "identity": self._identity, "crc32": _crc32(tensors)}
        file = self._folder / f"step-{state.step:08d}.safetensors"
        try:
            with new_file(file) as temporary:
                save_file(tensors, temporary, metadata={"checkpoint": json.dumps(header, allow_nan=False)})
        except (OSError, SafetensorError) as error:
            raise RunFolderError(
                f"the checkpoint of step {state.step} cannot be written to {self._folder}: {error}. Make "
                "room, and the same command goes on from the checkpoint before it"
            ) from error
        for old in self._files()[KEPT:]:
            old.unlink()
        self._written_at = time.monotonic()
        self._writing_seconds = self._written_at - started

    def restore(
        self, weights: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> TrainState | None:
        """Set weights and optimiser to the newest checkpoint that is whole; None where there is none.

        Raises `RunFolderError` for a checkpoint of another training, and where all are damaged.
        """
        for leftover in self._folder.glob(f".*{TEMPORARY}"):
            leftover.unlink()
        newest = self._newest()
        if newest is None:
            return None
        file, header, tensors = newest
        differences = describe_differences(header["identity"], self._identity)
        if differences:
            raise RunFolderError(f"{file} is of another training ({differences}): give another --out")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(tensors[f"weights/{name}"])
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("moments/"):
                _, index, key = name.split("/")
                moments.setdefault(int(index), {})[key] = tensor
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": moments, "param_groups": groups})
        values = header["state"]
        values["best_loss"] = math.inf if values["best_loss"] is None else values["best_loss"]
        values["metrics"] = [StepMetrics(**metrics) for metrics in values["metrics"]]
        values["best_weights"] = {
            name.removeprefix("best/"): tensor.to(weights[name.removeprefix("best/")].device)
            for name, tensor in tensors.items()
            if name.startswith("best/")
        }
        return TrainState(**values)

    def _newest(self) -> tuple[Path, dict[str, Any], dict[str, Tensor]] | None:
        """The newest one that is whole, and what it holds."""
        files = self._files()
        for file in files:
            with contextlib.suppress(OSError, ValueError, LookupError, SafetensorError):
                return file, *_read(file)
        if files:
            raise RunFolderError(
                f"every checkpoint in {self._folder} is damaged: remove that folder to train anew"
            )
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self._folder.glob("step-*.safetensors"), reverse=True)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Raises one of many exceptions for a file that is not as it was written."""
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()["checkpoint"])
        # Cloned, as what the file lends is neither ours to change nor aligned as torch would.
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    if _crc32(tensors) != header["crc32"]:
        raise ValueError(f"{file} is not as it was written")
    return header, tensors


def _crc32(tensors: Mapping[str, Tensor]) -> int:
    checksum = 0
    for name in sorted(tensors):
        content: Any = tensors[name].reshape(-1).view(torch.uint8).numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    return checksum
