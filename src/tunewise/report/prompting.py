"""What the search for the best prompts tried, on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tunewise.evaluate.selection import PromptChoice
from tunewise.report.tables import NAME_LIMIT
from tunewise.report.wording import percent, shorten

_INSTRUCTION_LIMIT = 1500
_CHOICE = TypeAdapter(PromptChoice)


@dataclass(frozen=True, slots=True)
class TriedSetup:
    """One way of prompting, and its score on validation."""

    label: str
    score: str
    percent: float
    tested: bool
    """Whether it was the best of its rival and went to the test."""


@dataclass(frozen=True, slots=True)
class TestedPrompt:
    """What a rival was asked with in the test."""

    label: str
    instruction: str | None
    is_held_to_form: bool


@dataclass(frozen=True, slots=True)
class PromptSearch:
    """Everything that was tried."""

    calls: int
    setups: tuple[TriedSetup, ...]
    """The best first."""
    prompts: tuple[TestedPrompt, ...]


def read_prompt_search(value: Any) -> PromptSearch | None:
    """The manifest's `prompting`; None where nothing was tried, or it is of another shape."""
    if not isinstance(value, Mapping):
        return None
    try:
        choice = _CHOICE.validate_python(value)
    except ValidationError:
        return None
    tested = {setup.label for setup in choice.setups.values()}
    setups = tuple(
        TriedSetup(shorten(label, NAME_LIMIT), percent(score), round(100 * score, 1), label in tested)
        for label, score in choice.scores.items()
    )
    prompts = tuple(
        TestedPrompt(
            shorten(setup.label, NAME_LIMIT),
            None if setup.instruction is None else shorten(setup.instruction, _INSTRUCTION_LIMIT),
            setup.grammar is not None,
        )
        for setup in choice.setups.values()
    )
    return PromptSearch(choice.calls, setups, prompts) if setups and prompts else None
