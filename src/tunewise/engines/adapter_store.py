"""The adapters that an engine answers for, as many of them in memory as their budget allows."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from pathlib import Path

import torch

from tunewise.errors import ModelNotFoundError
from tunewise.models.adapters import Adapter, load_adapter


class AdapterStore:
    """Adapters by model id. Beyond `budget_bytes`, those that were not asked for longest leave memory.

    They come back from their folders when they are asked for again, which only who asks waits for. What
    still answers with one that has left keeps it until it is done, so the budget is one of what is idle.
    Thread-safe.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, budget_bytes: int) -> None:
        self._device, self._dtype = device, dtype
        self._budget_bytes = budget_bytes
        self._folders: dict[str, Path] = {}
        self._in_memory: OrderedDict[str, Adapter] = OrderedDict()
        """The one that was asked for last comes last."""
        self._lock = threading.Lock()
        self._reading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def add(self, model: str, folder: Path) -> None:
        """Answer `model` with the adapter in `folder`: `ModelUnavailableError` if it cannot be read."""
        adapter = load_adapter(folder, self._device, self._dtype)
        with self._lock:
            self._folders[model] = folder
            self._keep(model, adapter)

    def get(self, model: str) -> Adapter:
        """The adapter of `model`, read again if need be: then `ModelUnavailableError` if that fails."""
        with self._reading[model]:
            with self._lock:
                folder, adapter = self._folders.get(model), self._in_memory.get(model)
                if folder is None:
                    raise ModelNotFoundError(f"the model {model!r} does not exist")
                if adapter is not None:
                    self._in_memory.move_to_end(model)
                    return adapter
            adapter = load_adapter(folder, self._device, self._dtype)
            with self._lock:
                if self._folders.get(model) == folder:
                    self._keep(model, adapter)
            return adapter

    def remove(self, model: str) -> None:
        """Forget one."""
        with self._lock:
            del self._folders[model]
            self._in_memory.pop(model, None)
            self._reading.pop(model, None)

    def in_memory(self) -> list[str]:
        """The models that can answer at once."""
        with self._lock:
            return list(self._in_memory)

    def _keep(self, model: str, adapter: Adapter) -> None:
        self._in_memory[model] = adapter
        self._in_memory.move_to_end(model)
        total = sum(kept.num_bytes for kept in self._in_memory.values())
        while total > self._budget_bytes and len(self._in_memory) > 1:
            _, evicted = self._in_memory.popitem(last=False)
            total -= evicted.num_bytes
