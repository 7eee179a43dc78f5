"""How to do the run again, and how to tell that it was the same one: its command, its seed and its hashes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from tunewise.report.facts import Fact, look_up
from tunewise.report.wording import plain, shorten

_COMMAND_LIMIT, _VALUE_LIMIT = 2000, 400


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What stands under "Do it again"."""

    command: str | None
    seed: str | None
    hashes: tuple[Fact, ...]
    versions: tuple[Fact, ...]


def list_reproduction(manifest: Mapping[str, Any]) -> Reproduction:
    """Whatever of it the manifest knows."""
    command = look_up(manifest, "command")
    versions = look_up(manifest, "versions")
    pairs = versions.items() if isinstance(versions, Mapping) else ()
    return Reproduction(
        None if command is None else shorten(_write_command(command), _COMMAND_LIMIT),
        _seed(manifest),
        tuple(_hashes(manifest)),
        # Packages go by their own names, down to the case.
        tuple(Fact(shorten(str(name), 80), shorten(plain(value), _VALUE_LIMIT)) for name, value in pairs),
    )


def _write_command(command: Any) -> str:
    """As it is typed into a shell: the program by its name, the rest quoted where that is needed."""
    if not isinstance(command, list | tuple) or not command:
        return plain(command)
    program, *arguments = map(str, command)
    path = PurePath(program)
    name = f"python -m {path.parent.name}" if path.name == "__main__.py" else shlex.quote(path.name)
    return " ".join([name, *map(shlex.quote, arguments)])


def _seed(manifest: Mapping[str, Any]) -> str | None:
    seed = look_up(manifest, "spec", "seed")
    return None if seed is None else shorten(str(seed), 40)


def _hashes(manifest: Mapping[str, Any]) -> Iterator[Fact]:
    places: dict[str, tuple[str, ...]] = {
        "Your examples": ("data", "sha256"),
        "The test set's seal": ("split", "seal"),
        "The base model's weights": ("base", "sha256"),
        "The tuned model's weights": ("training", "weights_sha256"),
    }
    given = look_up(manifest, "data", "given")
    for side in given if isinstance(given, Mapping) else ():
        places[f"Examples given for {side}"] = ("data", "given", side, "sha256")
    for name, place in places.items():
        value = look_up(manifest, *place)
        if value is not None:
            yield Fact(shorten(name, 80), shorten(plain(value), _VALUE_LIMIT), is_code=True)
