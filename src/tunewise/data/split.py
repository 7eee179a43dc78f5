"""Three sides: train to learn from, validation to choose with, and a sealed test set to be read at the end.

Stands between reading and everything else. How many examples the test set gets is a power calculation
(Connor 1987), not a fixed share: enough to see a difference of ten points, if the file can spare them.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from tunewise.errors import DataError
from tunewise.records import Example

# Below this no side could hold more than one or two examples.
MIN_EXAMPLES = 10
# OpenAI's guidance for a first fine-tune is 50 to 100 examples.
WORTH_MEASURING = 50
# The test set should show a difference this large (ten points) ...
TARGET_DIFFERENCE = 0.10
# ... when two systems disagree on this share of the examples: a high guess, before anything is measured.
ASSUMED_DISCORDANCE = 0.30
MAX_TEST_SHARE = 0.25
VALIDATION_SHARE = 0.10
# Fewer cannot rank two prompts; more adds minutes to every choice made on validation, and little quality.
MIN_VALIDATION, MAX_VALIDATION = 5, 100

_Z_TWO_SIDED_5_PERCENT = NormalDist().inv_cdf(0.975)
_Z_POWER_80_PERCENT = NormalDist().inv_cdf(0.80)


def examples_to_detect(difference: float, discordance: float) -> int:
    """How many paired examples show `difference` with 80% power at the two-sided 5% level.

    Both are shares in 0..1; `discordance` is the share of examples on which the two systems disagree, and is
    taken to be at least `difference`, as it always is. Connor 1987, Biometrics 43:207: with psi the
    discordance and d the difference, n = (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2.
    """
    if not 0 < difference <= 1:
        raise ValueError(f"a difference of {difference} cannot be detected: it must be in (0, 1]")
    psi = max(discordance, difference)
    spread = _Z_TWO_SIDED_5_PERCENT * math.sqrt(psi) + _Z_POWER_80_PERCENT * math.sqrt(psi - difference**2)
    return math.ceil(spread**2 / difference**2)


def detectable_difference(n: float, discordance: float) -> float | None:
    """The smallest difference that `n` paired examples show: the inverse of `examples_to_detect`.

    None where not even a difference of 1 would show (fewer than four examples).
    """
    a, b = _Z_TWO_SIDED_5_PERCENT, _Z_POWER_80_PERCENT
    if n < a**2:
        return None
    root = math.sqrt(n + b**2 - a**2)
    difference = math.sqrt(discordance) * (a * math.sqrt(n) + b * root) / (n + b**2)
    if difference <= discordance:
        return difference
    # The discordance cannot be the smaller one, so both are equal: solve n d = (a + b sqrt(1 - d))^2.
    rest = (math.sqrt(n) * root - a * b) / (n + b**2)
    return 1 - rest**2


@dataclass(frozen=True, slots=True)
class LoggedRead:
    """One reading of the sealed test set."""

    purpose: str
    at: float
    """Unix seconds."""


class SealedTest:
    """The test set. Its rows come out through `read` only, and every read is logged with its purpose."""

    __slots__ = ("__examples", "__reads", "num_groups", "on_read", "seal")

    def __init__(self, examples: Iterable[Example]) -> None:
        self.__examples = tuple(examples)
        self.__reads: list[LoggedRead] = []
        self.on_read: Callable[[LoggedRead], None] | None = None
        """Hears of each read before the rows come out, to log it where it outlives the process."""
        ids = sorted(example.id for example in self.__examples)
        self.seal = hashlib.sha256("\n".join(ids).encode("ascii")).hexdigest()
        """SHA-256 over the sorted ids: the same seal means the same test set."""
        self.num_groups = len({example.group for example in self.__examples})

    def __len__(self) -> int:
        return len(self.__examples)

    def __repr__(self) -> str:
        return f"SealedTest({len(self)} examples, seal {self.seal[:16]}, read {len(self.reads)} times)"

    @property
    def reads(self) -> tuple[LoggedRead, ...]:
        """Every read so far, for the run's manifest."""
        return tuple(self.__reads)

    def read(self, purpose: str) -> tuple[Example, ...]:
        """The rows, for `purpose`, which is logged with the time."""
        read = LoggedRead(purpose, time.time())
        self.__reads.append(read)
        if self.on_read is not None:
            self.on_read(read)
        return self.__examples


@dataclass(frozen=True, slots=True)
class Split:
    """The three sides. No group stands on two of them; each side is ordered by example id."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: SealedTest

    def describe(self) -> str:
        """One sentence: the sizes, and the difference that a test set of this size can show."""
        sizes = f"train {len(self.train)}, validation {len(self.validation)}, test {len(self.test)}"
        difference = detectable_difference(len(self.test), ASSUMED_DISCORDANCE)
        if difference is None:
            return f"{sizes}: too few to see any difference"
        return f"{sizes}: enough to see a difference of {100 * difference:.0f} points"


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """The two sides of a training that nothing is measured after."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]

    def describe(self) -> str:
        """One sentence: the sizes."""
        return f"train {len(self.train)}, validation {len(self.validation)}"


def split_examples(examples: Sequence[Example], seed: int, *, path: Path | str) -> Split:
    """Deal whole groups onto the three sides.

    The sides depend on the examples and `seed`, not on the order of the rows. Sizes meet `side_sizes` as
    closely as whole groups allow. `path` is only named in errors. Raises `DataError` on fewer than
    10 examples, or fewer than three groups.
    """
    groups = _shuffled_groups(examples, seed, path, ("train", "validation", "test"))
    train, validation, test = _deal(groups, side_sizes(len(examples)))
    return Split(train, validation, SealedTest(test))


def split_for_training(examples: Sequence[Example], seed: int, *, path: Path | str) -> TrainingSplit:
    """Train and validation alone, by the rules of `split_examples`."""
    groups = _shuffled_groups(examples, seed, path, ("train", "validation"))
    _, validation, _ = side_sizes(len(examples))
    return TrainingSplit(*_deal(groups, (len(examples) - validation, validation)))


def _shuffled_groups(
    examples: Sequence[Example], seed: int, path: Path | str, sides: Sequence[str]
) -> list[list[Example]]:
    if len(examples) < MIN_EXAMPLES:
        raise DataError(
            path,
            f"{len(examples)} usable examples: at least {MIN_EXAMPLES} are needed to train, choose and test, "
            f"and about {WORTH_MEASURING} to be worth measuring",
        )
    groups: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda example: (example.group, example.id)):
        groups.setdefault(example.group, []).append(example)
    if len(groups) < len(sides):
        raise DataError(
            path,
            f"{len(examples)} examples, but only {len(groups)} different inputs or groups: at least "
            f"{len(sides)} are needed, because examples that share one must stay on one side of "
            f"{', '.join(sides[:-1])} and {sides[-1]}",
        )
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    return order


def side_sizes(num_examples: int) -> tuple[int, int, int]:
    """How many examples train, validation and test should get."""
    quarter = int(num_examples * MAX_TEST_SHARE)
    test = min(examples_to_detect(TARGET_DIFFERENCE, ASSUMED_DISCORDANCE), quarter)
    validation = min(max(int(num_examples * VALIDATION_SHARE), MIN_VALIDATION), MAX_VALIDATION, quarter)
    return num_examples - validation - test, validation, test


def _deal(groups: Sequence[list[Example]], sizes: Sequence[int]) -> list[tuple[Example, ...]]:
    """Largest groups first, each to the side that is emptiest for its size and has room, else to train."""
    sides: list[list[list[Example]]] = [[] for _ in sizes]
    room = list(sizes)
    for group in sorted(groups, key=len, reverse=True):
        fitting = [side for side in range(len(sizes)) if len(group) <= room[side]]
        chosen = max(fitting, key=lambda side: room[side] / sizes[side], default=0)
        sides[chosen].append(group)
        room[chosen] -= len(group)
    for side in sides:
        if not side:  # every group was too large for it: take the smallest that another side can spare
            donor = min((other for other in sides if len(other) > 1), key=lambda other: len(other[-1]))
            side.append(donor.pop())
    return [tuple(sorted((e for group in side for e in group), key=lambda e: e.id)) for side in sides]
