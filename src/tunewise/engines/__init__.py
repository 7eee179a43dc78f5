"""What answers chat requests: one protocol, whatever runs below it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Literal, assert_never

from tunewise.engines.remote_spec import RemoteSpec
from tunewise.engines.vllm_spec import Precision, VllmSpec
from tunewise.models.base import (
    BaseModel,
    choose_device,
    find_base,
    is_whole_model,
    precision_on,
    whole_model,
)
from tunewise.models.embedded import EMBEDDED
from tunewise.records import ModelRecord
from tunewise.settings import VLLM_PRECISION, Settings, get_settings
from tunewise.store.registry import model_folder

if TYPE_CHECKING:
    from tunewise.engines.base import Engine
    from tunewise.engines.remote import RemoteEngine
    from tunewise.engines.vllm import VllmEngine

__all__ = [
    "EngineName",
    "RemoteSpec",
    "VllmSpec",
    "open_engine",
    "open_model_engine",
    "open_remote_engine",
    "open_tuned",
    "open_vllm_engine",
]

EngineName = Literal["local", "vllm"]
"""What the command line can choose from."""


def open_engine(
    base: BaseModel | str = EMBEDDED,
    *,
    name: EngineName = "local",
    own_thread: bool = False,
    settings: Settings | None = None,
) -> Engine:
    """An engine for `base`: `embedded`, a hub id, a folder, or one already found. Close it when done.

    `own_thread` is for servers; see `LocalEngine`.
    """
    match name:
        case "local":
            return _open_local_engine(base, own_thread, settings)
        case "vllm":
            return open_vllm_engine(base, settings=settings)
        case _:
            assert_never(name)


def _open_local_engine(base: BaseModel | str, own_thread: bool, settings: Settings | None) -> Engine:
    # Here and not above: these bring in torch, which the command line's start does without.
    from tunewise.engines.local import LocalEngine
    from tunewise.models.base import load_base

    found = find_base(base, settings) if isinstance(base, str) else base
    if not own_thread:
        return LocalEngine(load_base(found, settings))
    # Loading computes too. On a thread that ends, it leaves no pool behind to compete with the engine's.
    with ThreadPoolExecutor(max_workers=1) as loading:
        return LocalEngine(loading.submit(load_base, found, settings).result(), own_thread=True)


def open_model_engine(
    model: ModelRecord, *, name: EngineName = "local", settings: Settings | None = None
) -> Engine:
    """An engine that answers under the model's id, with its base for an adapter. Close it when done.

    Raises `ModelUnavailableError` where the model's files are gone.
    """
    folder = model_folder(model)
    if is_whole_model(folder):
        return open_engine(whole_model(model.id, folder), name=name, settings=settings)
    engine = open_engine(model.base, name=name, settings=settings)
    engine.load(model.id, folder)
    return engine


@contextmanager
def open_tuned(
    engine: Engine, model: ModelRecord, name: EngineName = "local", settings: Settings | None = None
) -> Iterator[Engine]:
    """An engine that answers under the model's id: the `engine` of its base where it is an adapter.

    A whole model gets an engine of its own. Raises `ModelUnavailableError` where its files are gone.
    """
    folder = model_folder(model)
    if not is_whole_model(folder):
        engine.load(model.id, folder)
        yield engine
        return
    engine.rest()
    with closing(open_model_engine(model, name=name, settings=settings)) as own:
        yield own


def open_vllm_engine(
    base: BaseModel | str = EMBEDDED, spec: VllmSpec | None = None, *, settings: Settings | None = None
) -> VllmEngine:
    """An engine over the vLLM server that `spec`, or else the settings, name; started if it is a program.

    Raises `SpecError` where there is no such program, `EndpointError` where there is no such server.
    """
    from tunewise.engines.vllm import VllmEngine

    settings = settings or get_settings()
    found = find_base(base, settings) if isinstance(base, str) else base
    spec = spec or _vllm_spec(settings)
    return VllmEngine(found, spec, home=settings.home, api_key=settings.vllm_key)


def _vllm_spec(settings: Settings) -> VllmSpec:
    """In the precision that this machine trains in, so that both compute the same, unless it is set."""
    settings.check(VLLM_PRECISION)
    device = choose_device(settings.device)
    precision: Precision = settings.vllm_precision or precision_on(device)
    is_url = settings.vllm.startswith(("http://", "https://"))
    return VllmSpec(
        base_url=settings.vllm if is_url else None,
        command="vllm" if is_url else settings.vllm,
        precision=precision,
        base_as_adapter=device.type != "cuda",
    )


def open_remote_engine(
    spec: RemoteSpec, *, api_key: str | None = None, settings: Settings | None = None
) -> RemoteEngine:
    """An engine on another machine. Nothing is asked of it yet; close it when done.

    The key is `api_key`, or else that of the settings, or else none. Raises `SpecError` for one that no
    header can carry.
    """
    # Here and not above: the client takes most of a second to import.
    from tunewise.engines.remote import RemoteEngine

    return RemoteEngine(spec, api_key=api_key or (settings or get_settings()).remote_key)
