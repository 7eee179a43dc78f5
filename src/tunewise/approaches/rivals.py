"""The prompted rivals: the ways in which each may be set up, and how a setup becomes an approach.

Validation chooses one `PromptSetup` of each rival, and that one goes to the test. To add a rival, write a
class with the methods of `Rival` and give it a line in `RIVALS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tunewise.approaches.base import Approach
from tunewise.approaches.prompted import Prompted, draw_shots
from tunewise.approaches.wordings import Wording
from tunewise.records import Example, Grammar

NUMBERS_OF_SHOTS = (2, 4, 8)
SHOTS_OF_VARIANTS = 4
"""With which the wordings beyond the first are tried, so that not everything is tried with everything."""


@dataclass(frozen=True, slots=True)
class PromptSetup:
    """Everything that may differ between two prompts of one rival."""

    rival: str
    instruction: str | None = None
    grammar: Grammar | None = None
    num_shots: int = 0
    note: str = ""

    @property
    def label(self) -> str:
        """The rival and what is special about this setup, for people; no two setups of a run share one."""
        shots = f"{self.num_shots} shots" if self.num_shots else ""
        return ", ".join(part for part in (self.rival, shots, self.note) if part)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the prompts of a run are made of, beside the setup."""

    model: str
    """The id of the base."""
    train: Sequence[Example]
    seed: int


class Rival(Protocol):
    """Something that a user could do instead of training."""

    name: str

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """The ways worth trying, the plainest first; none where the rival makes no sense."""

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """The approach that `setup` stands for."""


class ZeroShot:
    """The input alone; the model's official template may add its own default system message."""

    name = "zero-shot"

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:  # noqa: ARG002 - none of them
        """One."""
        yield PromptSetup(self.name)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """No messages before the input."""
        return Prompted(setup.rival, shown.model)


class Instructed:
    """The input under an instruction."""

    name = "instructed"

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """One for each wording that says something."""
        for wording in wordings:
            if wording.instruction is not None:
                yield PromptSetup(self.name, wording.instruction, wording.grammar, note=wording.note)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """The instruction as system message."""
        return Prompted(setup.rival, shown.model, setup.instruction, grammar=setup.grammar)


class FewShot:
    """The input under an instruction, after worked examples, the same for all inputs."""

    name = "few-shot"

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """Each number of shots with the plainest wording, and each other wording with one number of shots."""
        yield from _setups_with_shots(self.name, wordings)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """The shots stand as earlier turns."""
        shots = draw_shots(shown.train, setup.num_shots, shown.seed)
        return Prompted(setup.rival, shown.model, setup.instruction, shots, setup.grammar)


def _setups_with_shots(name: str, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
    plainest, *others = wordings
    for number in NUMBERS_OF_SHOTS:
        yield PromptSetup(name, plainest.instruction, plainest.grammar, number, plainest.note)
    for wording in others:
        yield PromptSetup(name, wording.instruction, wording.grammar, SHOTS_OF_VARIANTS, wording.note)


RIVALS: tuple[Rival, ...] = (ZeroShot(), Instructed(), FewShot())


def list_setups(names: Collection[str], wordings: Sequence[Wording]) -> list[PromptSetup]:
    """All setups of the rivals of these names, in the order of `RIVALS`."""
    return [setup for rival in RIVALS if rival.name in names for setup in rival.setups(wordings)]


def build(setup: PromptSetup, shown: Shown) -> Approach:
    """The approach that `setup` stands for."""
    return next(rival for rival in RIVALS if rival.name == setup.rival).build(setup, shown)
