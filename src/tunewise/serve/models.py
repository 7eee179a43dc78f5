"""Which models this server answers for: the base, and each tuned model, loaded on first use."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import anyio

from tunewise.engines.base import Engine
from tunewise.errors import ModelNotFoundError
from tunewise.models.base import is_whole_model
from tunewise.records import ModelRecord
from tunewise.serve import wire
from tunewise.serve.threads import in_thread
from tunewise.store.registry import Registry, model_folder


class ServedModels:
    """The base of `engine` and the registered models that were trained on it.

    `base` is how the base was named when it was opened, the same name that `ModelRecord.base` holds; None
    takes every registered model for one of this base.
    """

    def __init__(self, engine: Engine, registry: Registry, base: str | None) -> None:
        self._engine = engine
        self._registry = registry
        self._base = base
        self._base_model = wire.Model(id=engine.base_id, created=int(time.time()))
        self._loading: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    def list(self) -> list[wire.Model]:
        """The base, then the registered models, newest first; whatever their state, all can be asked."""
        records = self._registry.models()
        return [self._base_model, *(wire.Model.of(record) for record in records if self._can_serve(record))]

    def get(self, model_id: str) -> wire.Model:
        """One of `list`. Raises `ModelNotFoundError`."""
        return self._base_model if model_id == self._engine.base_id else wire.Model.of(self._record(model_id))

    async def make_ready(self, model_id: str) -> None:
        """Return once the engine answers under `model_id`: at once, or after loading it.

        However many requests wait for a model, it is loaded once, and requests to other models do not wait.
        Raises `ModelNotFoundError`, or `ModelUnavailableError` where its files are gone.
        """
        record = await in_thread(self._record_to_load, model_id)
        if record is None:
            return
        async with self._loading[model_id]:
            if model_id not in self._engine.models():
                await in_thread(self._load, record)

    def _record_to_load(self, model_id: str) -> ModelRecord | None:
        return None if model_id in self._engine.models() else self._record(model_id)

    def _load(self, record: ModelRecord) -> None:
        self._engine.load(record.id, model_folder(record))

    def _record(self, model_id: str) -> ModelRecord:
        try:
            record = self._registry.model(model_id)
        except ModelNotFoundError:
            raise ModelNotFoundError(
                f"The model {model_id!r} does not exist here: GET /v1/models lists those that do."
            ) from None
        if not self._is_of_base(record):
            raise ModelNotFoundError(
                f"The model {model_id!r} was trained on the base {record.base}, and this server serves "
                f"{self._base}: start one with --base {record.base}."
            )
        if not self._can_serve(record):
            raise ModelNotFoundError(
                f"All weights of the model {model_id!r} were trained, so it needs a server of its own: start "
                f"one with --base {model_id}."
            )
        return record

    def _is_of_base(self, record: ModelRecord) -> bool:
        # Resolved, so that a folder may be named in several ways; other names resolve alike only if they are.
        return self._base is None or Path(record.base).resolve() == Path(self._base).resolve()

    def _can_serve(self, record: ModelRecord) -> bool:
        return self._is_of_base(record) and not is_whole_model(Path(record.path))
