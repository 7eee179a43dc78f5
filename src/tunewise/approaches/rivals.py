"""The prompted rivals: the ways in which each may be set up, and how a setup becomes an approach.

Validation chooses one `PromptSetup` of each rival, and that one goes to the test. To add a rival, write a
class with the methods of `Rival` and give it a line in `RIVALS`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tunewise.approaches.base import Approach
from tunewise.approaches.few_shot_nearest import FewShotNearest
from tunewise.approaches.names import is_remote, remote_model
from tunewise.approaches.prompted import Prompted, draw_shots
from tunewise.approaches.rag import Rag
from tunewise.approaches.shown import Shown
from tunewise.approaches.wordings import Wording
from tunewise.records import Grammar

NUMBERS_OF_SHOTS = (2, 4, 8)
NUMBERS_OF_PASSAGES = (1, 2, 4)
SHOTS_OF_VARIANTS, PASSAGES_OF_VARIANTS = 4, 2
"""With which the wordings beyond the first are tried, so that not everything is tried with everything."""


@dataclass(frozen=True, slots=True)
class PromptSetup:
    """Everything that may differ between two prompts of one rival."""

    rival: str
    instruction: str | None = None
    grammar: Grammar | None = None
    num_shots: int = 0
    num_passages: int = 0
    note: str = ""

    @property
    def label(self) -> str:
        """The rival and what is special about this setup, for people; no two setups of a run share one."""
        shots = f"{self.num_shots} shots" if self.num_shots else ""
        passages = f"{self.num_passages} passage{'s' * (self.num_passages > 1)}" if self.num_passages else ""
        return ", ".join(part for part in (self.rival, shots, passages, self.note) if part)

    @property
    def is_longest(self) -> bool:
        """Whether hardly a prompt of its rival has more in it: the most shots or passages, or both."""
        has_both = self.num_shots > 0 and self.num_passages > 0
        has_most = self.num_shots == NUMBERS_OF_SHOTS[-1] or self.num_passages == NUMBERS_OF_PASSAGES[-1]
        return has_both or has_most


class Rival(Protocol):
    """Something that a user could do instead of training."""

    @property
    def name(self) -> str:
        """As it stands in `verdict.json`."""

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """The ways worth trying, the plainest and shortest first; none where the rival makes no sense.

        `rehearsal.py` relies on that order to try the short ones first.
        """

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
                yield _setup(self.name, wording)

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
        """The shots stand as earlier turns, fewer where the context has no room for all."""
        shots = draw_shots(shown.train, setup.num_shots, shown.seed)
        return Prompted(setup.rival, shown.model, setup.instruction, shots, setup.grammar, shown.fits)


class NearestShots:
    """`few-shot` with the training examples that are most like the input."""

    name = "few-shot-nearest"

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """As `few-shot`."""
        yield from _setups_with_shots(self.name, wordings)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """The nearest stands last; fewer where the context has no room for all."""
        assert shown.near is not None
        instruction, number = setup.instruction, setup.num_shots
        return FewShotNearest(shown.model, instruction, shown.near, number, setup.grammar, shown.fits)


class WithPassages:
    """The input under an instruction, with passages of the user's documents that were found for it.

    `fine-tuned-rag` has learned from examples, so one setup shows some: else its gain might be theirs.
    """

    name = "rag"

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """Each number of passages with the plainest wording; other wordings, and shots, with one of them."""
        plainest, *others = wordings
        for number in NUMBERS_OF_PASSAGES:
            yield _setup(self.name, plainest, num_passages=number)
        for wording in others:
            yield _setup(self.name, wording, num_passages=PASSAGES_OF_VARIANTS)
        yield _setup(self.name, plainest, num_shots=SHOTS_OF_VARIANTS, num_passages=PASSAGES_OF_VARIANTS)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """Fewer shots, then fewer passages, where the context has no room for all."""
        assert shown.passages is not None
        instruction, number = setup.instruction, setup.num_passages
        shots = draw_shots(shown.train, setup.num_shots, shown.seed)
        return Rag(
            self.name, shown.model, instruction, shown.passages, number, shown.fits, setup.grammar, shots
        )


@dataclass(frozen=True, slots=True)
class Remote:
    """Another model, on another machine: under an instruction, with or without the shots of `few-shot`.

    Nearest shots would send it most of the training examples, so it gets none.
    """

    name: str

    def setups(self, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
        """One for each wording without shots, then as `few-shot`."""
        for wording in wordings:
            yield _setup(self.name, wording)
        yield from _setups_with_shots(self.name, wordings)

    def build(self, setup: PromptSetup, shown: Shown) -> Approach:
        """As `few-shot`, for a model of its own, whose context is not known: all shots are sent."""
        shots = draw_shots(shown.train, setup.num_shots, shown.seed)
        return Prompted(self.name, remote_model(self.name), setup.instruction, shots, setup.grammar)


def _setup(name: str, wording: Wording, *, num_shots: int = 0, num_passages: int = 0) -> PromptSetup:
    return PromptSetup(name, wording.instruction, wording.grammar, num_shots, num_passages, wording.note)


def _setups_with_shots(name: str, wordings: Sequence[Wording]) -> Iterator[PromptSetup]:
    plainest, *others = wordings
    for number in NUMBERS_OF_SHOTS:
        yield _setup(name, plainest, num_shots=number)
    for wording in others:
        yield _setup(name, wording, num_shots=SHOTS_OF_VARIANTS)


RIVALS: tuple[Rival, ...] = (ZeroShot(), Instructed(), FewShot(), NearestShots(), WithPassages())


def list_setups(names: Collection[str], wordings: Sequence[Wording]) -> list[PromptSetup]:
    """All setups of the rivals of these names, in the order of `RIVALS`."""
    return [setup for rival in RIVALS if rival.name in names for setup in rival.setups(wordings)]


def build(setup: PromptSetup, shown: Shown) -> Approach:
    """The approach that `setup` stands for."""
    return _rival(setup.rival).build(setup, shown)


def _rival(name: str) -> Rival:
    return Remote(name) if is_remote(name) else next(rival for rival in RIVALS if rival.name == name)
