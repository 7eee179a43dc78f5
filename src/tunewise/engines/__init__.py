"""What answers chat requests: one protocol, whatever runs below it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tunewise.models.base import BaseModel, find_base
from tunewise.models.embedded import EMBEDDED

if TYPE_CHECKING:
    from tunewise.engines.local import LocalEngine

__all__ = ["open_engine"]


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
