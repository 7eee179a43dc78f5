"""What reading the examples brought to light, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunewise.report.facts import look_up
from tunewise.report.wording import count, is_number, percent

_MAX_LINES = 12


def list_data_findings(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What was left out of the data and why, and how far its answers contradict each other."""
    return tuple(_find(manifest))


def _find(manifest: Mapping[str, Any]) -> Iterator[str]:
    duplicates, respaced = (
        number if is_number(number := look_up(manifest, "data", key)) else 0
        for key in ("duplicates_removed", "respaced_removed")
    )
    if (exact := duplicates - respaced) > 0:
        verb = "was" if exact == 1 else "were"
        yield f"{count(exact, 'exact duplicate')} {verb} removed, so that none counts twice."
    if respaced > 0:
        verb = "was" if respaced == 1 else "were"
        yield f"{count(respaced, 'repetition')} of another row in other spacing {verb} removed."
    if leaked := _lines(manifest, "data", "leaked_lines"):
        yield (
            f"{_rows(leaked)} left out: files set aside for choosing or testing have their inputs, near "
            "duplicates of them or rows of their groups."
        )
    if look_up(manifest, "data", "own_system") is True:
        yield "Their system messages differ, so each was kept as a part of its row's input."
    if dropped := _lines(manifest, "training", "dropped_lines"):
        yield f"{_rows(dropped)} left out of training, as the model cannot be trained on such."
    share, repeated = (
        look_up(manifest, "findings", "disagreement", key) for key in ("share", "duplicate_groups")
    )
    if is_number(share) and is_number(repeated) and share > 0:
        verb = "occurs" if repeated == 1 else "occur"
        yield (
            f"{count(repeated, 'input')} {verb} more than once; of two such rows the answers differ "
            f"{percent(share)} of the time."
        )
    mismatch = look_up(manifest, "findings", "fact_or_skill", "mismatch")
    if is_number(mismatch):
        yield f"{percent(mismatch)} of the answers fit another row's prompt much better than their own."


def _lines(manifest: Mapping[str, Any], *path: str) -> Sequence[int]:
    lines = look_up(manifest, *path)
    return [line for line in lines if is_number(line)] if isinstance(lines, list | tuple) else []


def _rows(lines: Sequence[int]) -> str:
    named = ", ".join(f"{line:,}" for line in lines[:_MAX_LINES]) + (", …" if lines[_MAX_LINES:] else "")
    place = f"(line{'' if len(lines) == 1 else 's'} {named})"
    return f"{count(len(lines), 'row')} {place} {'was' if len(lines) == 1 else 'were'}"
