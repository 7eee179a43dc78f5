"""What answers chat requests: one protocol, whatever runs below it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tunewise.engines.remote_spec import RemoteSpec
from tunewise.models.base import BaseModel, find_base
from tunewise.models.embedded import EMBEDDED
from tunewise.settings import Settings, get_settings

if TYPE_CHECKING:
    from tunewise.engines.local import LocalEngine
    from tunewise.engines.remote import RemoteEngine

__all__ = ["RemoteSpec", "open_engine", "open_remote_engine"]


def open_engine(base: BaseModel | str = EMBEDDED, *, own_thread: bool = False) -> LocalEngine:
    """An engine on this machine for `base`: `embedded`, a hub id, a folder, or one already found.

    `own_thread` is for servers; see `LocalEngine`.
    """
    # Here and not above: these bring in torch, which the command line's start does without.
    from tunewise.engines.local import LocalEngine
    from tunewise.models.base import load_base

    found = find_base(base) if isinstance(base, str) else base
    if not own_thread:
        return LocalEngine(load_base(found))
    # Loading computes too. On a thread that ends, it leaves no pool behind to compete with the engine's.
    with ThreadPoolExecutor(max_workers=1) as loading:
        return LocalEngine(loading.submit(load_base, found).result(), own_thread=True)


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
