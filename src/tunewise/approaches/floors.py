"""The trivial rivals, which need no model."""

from __future__ import annotations

from tunewise.approaches.base import Floor
from tunewise.approaches.majority import Majority
from tunewise.approaches.nearest_copy import NearestCopy
from tunewise.approaches.pattern_majority import PatternMajority


def all_floors() -> list[Floor]:
    """One of each, unprepared."""
    return [Majority(), PatternMajority(), NearestCopy()]
