"""What the manifest says, as rows of the report. A key missing or of another shape leaves its row out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunewise.approaches.names import is_remote
from tunewise.report.charts import LossPoint
from tunewise.report.wording import (
    count,
    duration,
    is_number,
    moment,
    money,
    plain,
    points,
    shorten,
    title,
)

_VALUE_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Fact:
    """One row: what it is, what it says, and whether it is to be read letter by letter."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """A titled group of rows."""

    title: str
    rows: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage took. `share` is its part of all the seconds, for the bar beside it."""

    name: str
    time: str
    cost: str
    share: float


def look_up(manifest: Mapping[str, Any], *path: str) -> Any:
    """The value at this path of keys, or None where the path ends early."""
    value: Any = manifest
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


# (section of the manifest, its title, {key: (title, how to write it)}); other keys follow as they are.
_Writer = Callable[[Any], str]
_SECTIONS: tuple[tuple[str, str, dict[str, tuple[str, _Writer]]], ...] = (
    (
        "data",
        "Your examples",
        {
            "path": ("File", plain),
            "rows": ("Rows", count),
            "examples": ("Usable examples", count),
            "duplicates_removed": ("Duplicates removed", count),
        },
    ),
    (
        "split",
        "The split",
        {
            "train": ("For training", count),
            "validation": ("For choosing prompts and settings", count),
            "test": ("Sealed for the test", count),
            "groups": ("Independent groups", count),
            "detectable_difference": (
                "Smallest gain it was planned to see",
                lambda value: f"{points(value).lstrip('+')} points" if is_number(value) else plain(value),
            ),
        },
    ),
    ("base", "The base model", {"id": ("Model", plain)}),
    (
        "training",
        "The training",
        {
            "examples": ("Examples", count),
            "epochs": ("Passes over them", plain),
            "steps": ("Steps", count),
            "tokens": ("Tokens", count),
            "seconds": ("Time", duration),
            "best_step": ("Weights kept from step", count),
            "validation_loss": ("Validation loss", plain),
        },
    ),
    (
        "parity",
        "Is what is served what was trained?",
        {
            "passed": ("Trainer and engine agree", plain),
            "rows": ("Rows compared", count),
            "tokens": ("Answer tokens compared", count),
            "ids_equal": ("Same tokens", plain),
            "precision": ("Precision", str),
            "max_difference": ("Largest difference of a log-probability (nats)", plain),
            "mean_difference": ("Mean difference", plain),
            "tolerance": ("Tolerance", plain),
        },
    ),
    ("spec", "Settings", {"seed": ("Seed", str), "engine": ("Engine", str)}),
)
_NOT_LISTED = {
    "curve", "sha256", "seal", "given", "leaked_lines", "respaced_removed", "own_system", "dropped_lines",
    "weights_sha256", "estimate",
}  # fmt: skip
"""Keys that have a better place on the page, or matter to readers of the manifest alone."""
_CODE_KEYS = {"path", "id"}


def list_facts(manifest: Mapping[str, Any]) -> tuple[Facts, ...]:
    """Everything the manifest says on how the test was made, section by section."""
    sections = (
        Facts(heading, tuple(_rows(look_up(manifest, section), known)))
        for section, heading, known in _SECTIONS
    )
    return tuple(section for section in sections if section.rows)


def _rows(values: Any, known: Mapping[str, tuple[str, _Writer]], prefix: str = "") -> Iterator[Fact]:
    if not isinstance(values, Mapping):
        return
    for key in (*(key for key in known if key in values), *(key for key in values if key not in known)):
        if key in _NOT_LISTED or values[key] is None:
            continue
        name, write = known.get(key, (f"{prefix}{title(str(key))}", plain))
        if isinstance(values[key], Mapping):
            yield from _rows(values[key], {}, f"{name} · ")
        else:
            yield Fact(shorten(name, 80), shorten(write(values[key]), _VALUE_LIMIT), str(key) in _CODE_KEYS)


def list_test_reads(manifest: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Every time the sealed test set was opened: what for, and when."""
    reads = look_up(manifest, "test_reads")
    if not isinstance(reads, list | tuple):
        return ()
    known = [read for read in reads if isinstance(read, Mapping)]
    return tuple(
        Fact(
            shorten(plain(read.get("purpose", "not said")), 200),
            shorten(moment(read.get("at", "not said")), 80),
        )
        for read in known
    )


def list_stages(manifest: Mapping[str, Any], currency: str) -> tuple[Stage, ...]:
    """Seconds and cost of each stage in the order they ran, and the total last."""
    timings = look_up(manifest, "timings")
    if not isinstance(timings, Mapping):
        return ()
    spent = {str(name): float(seconds) for name, seconds in timings.items() if is_number(seconds)}
    if not spent:
        return ()
    price = look_up(manifest, "hourly_price")
    total = math.fsum(spent.values())

    def stage(name: str, seconds: float) -> Stage:
        cost = money(seconds / 3600 * price, currency) if is_number(price) else money(None, currency)
        return Stage(name, duration(seconds), cost, seconds / total if total > 0 else 0.0)

    stages = [stage(shorten(_stage_title(name), 60), seconds) for name, seconds in spent.items()]
    return (*stages, stage("Together", total))


_STAGES = {
    "choose-prompts-": "Choosing prompts for ",
    "choose-prompts": "Choosing prompts",
    "plan-time": "Planning the time",
    "plan-training": "Planning the training",
    "steadiness-": "Asking again: ",
    "test-": "Testing ",
    "train-": "Training ",
    "parity-": "Comparing with what was trained: ",
}


def _stage_title(name: str) -> str:
    begun = next((prefix for prefix in _STAGES if name.startswith(prefix)), None)
    return title(name) if begun is None else f"{_STAGES[begun]}{name.removeprefix(begun)}"


def describe_price(manifest: Mapping[str, Any], currency: str) -> str | None:
    """What an hour and an endpoint's tokens cost, and who says so; None when the manifest does not know."""
    price = look_up(manifest, "hourly_price")
    if not is_number(price):
        return None
    remote = [_describe_token_price(manifest, name, currency) for name in _remotes(manifest)]
    stated = (
        f"Every {'other ' if remote else ''}cost here is measured time at {money(price, currency)} an hour"
    )
    if look_up(manifest, "hourly_price_is_assumed"):
        stated += ", which is an assumption: set TUNEWISE_HOURLY_PRICE to what your machine costs."
    else:
        stated += ", the price you set."
    return " ".join([*remote, stated])


def _remotes(manifest: Mapping[str, Any]) -> list[str]:
    """The approaches that asked another machine."""
    names = look_up(manifest, "spec", "approaches")
    return [str(name) for name in names if is_remote(str(name))] if isinstance(names, list | tuple) else []


def _describe_token_price(manifest: Mapping[str, Any], name: str, currency: str) -> str:
    read, written = (
        look_up(manifest, "findings", "token_prices", name, side) for side in ("input", "output")
    )
    if not (is_number(read) and is_number(written)):
        return f"What calls of {name} cost is not known: set TUNEWISE_PRICE_IN and TUNEWISE_PRICE_OUT."
    return (
        f"Calls of {name} cost {money(read, currency)} for a million tokens read and "
        f"{money(written, currency)} for a million written, which come on top of the machine time below."
    )


def list_losses(manifest: Mapping[str, Any]) -> tuple[LossPoint, ...]:
    """The training curve; points without a step are left out."""
    curve = look_up(manifest, "training", "curve")
    if not isinstance(curve, list | tuple):
        return ()
    return tuple(
        LossPoint(float(point["step"]), _loss(point.get("train_loss")), _loss(point.get("validation_loss")))
        for point in curve
        if isinstance(point, Mapping) and is_number(point.get("step"))
    )


def _loss(value: Any) -> float | None:
    return float(value) if is_number(value) else None
