"""A metric that the user wrote: a Python function `(answer, expected) -> float in 0..1 | bool | None`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import SupportsFloat

from tunewise.errors import SpecError
from tunewise.records import Example

TRIALS = 20
"""Training examples on which it is tried before anything else is done."""
_FAULTS = (Exception, SystemExit)
"""The user's own code may raise anything, and call `sys.exit`; an interruption is not its doing."""
_SHOWN_CHARACTERS = 80


class OwnMetric:
    """The function, with its errors told: where it failed, on which example and on which answer."""

    def __init__(self, name: str, file: Path, function: Callable[[str, str], object]) -> None:
        self.name = name
        self._file = file
        self._function = function

    def __call__(self, answer: str, example: Example) -> float | None:
        """What the function says, as a number. Raises `SpecError` where it fails or says something else."""
        try:
            value = self._function(answer, example.answer)
            number = float(value) if isinstance(value, SupportsFloat) else None
        except _FAULTS as error:
            raise SpecError(
                f"{self._place(error)} raised {_name(error)} {_quote(answer, example)}"
            ) from error
        if value is None:
            return None
        if number is not None and 0 <= number <= 1:
            return number
        raise SpecError(
            f"--metric {self._file}:{self.name} returned {value!r:.40} {_quote(answer, example)}: "
            "return a number from 0 (wrong) to 1 (right), True, False, or None where neither makes sense"
        )

    def try_on(self, examples: Sequence[Example]) -> None:
        """Call it with right and wrong answers, as models write them. Raises `SpecError` where it fails."""
        for example, other in zip(examples[:TRIALS], reversed(examples), strict=False):
            for answer in _trial_answers(example.answer, other.answer):
                self(answer, example)

    def _place(self, error: BaseException) -> str:
        own = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == self._file]
        line = f", line {own[-1].lineno}," if own else ""
        return f"--metric {self._file}:{self.name}{line}"


def names_function(metric: str) -> bool:
    """Whether it is `module.py:function`, and not the name of a metric."""
    return ".py:" in metric


def file_of(metric: str) -> Path:
    """Where the function of `module.py:function` is defined."""
    return Path(metric.rpartition(":")[0])


def load_metric(metric: str) -> OwnMetric:
    """The function that `module.py:function` names. Runs the file; raises `SpecError` where it cannot."""
    file, name = file_of(metric).absolute(), metric.rpartition(":")[2]
    module = _run(file)
    function = getattr(module, name, None)
    if not callable(function):
        there = sorted(n for n, v in vars(module).items() if callable(v) and not n.startswith("_"))
        raise SpecError(f"--metric {file}: has no function {name!r}: it has {', '.join(there) or 'none'}")
    return OwnMetric(name, file, function)


def _run(file: Path) -> ModuleType:
    if not file.is_file():
        raise SpecError(f"--metric {file}: there is no such file")
    name = f"tunewise_metric_{file.stem}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        # Not through an import, which may take bytecode that it kept of the file before its last change.
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except _FAULTS as error:
        raise SpecError(f"--metric {file}: cannot be loaded: {_name(error)}") from error
    return module


def _trial_answers(expected: str, other: str) -> Iterator[str]:
    yield from (expected, other, "", "I do not know.", f"Sure! {expected}", expected[: len(expected) // 2])


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _quote(answer: str, example: Example) -> str:
    return f"for the answer {_cut(answer)} where line {example.line} expects {_cut(example.answer)}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}...")
