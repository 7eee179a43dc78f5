"""Three sides: train to learn from, validation to choose with, and a sealed test set to be read at the end.

Stands between reading and everything else. How many examples the test set gets is a power calculation
(Connor 1987), not a fixed share: enough to see a difference of ten points, if the file can spare them. Whole
groups are dealt, so that labels, or lengths of answers, have the same shares on each side as nearly as groups
allow.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from tunewise.data.siblings import has_labels
from tunewise.errors import DataError
from tunewise.records import Example

# Below this no side could hold more than one or two examples.
MIN_TO_SPLIT = 10
# OpenAI's guidance for a first fine-tune is 50 to 100 examples.
WORTH_MEASURING = 50
# The test set should show a difference this large (ten points) ...
TARGET_DIFFERENCE = 0.10
# ... when two systems disagree on this share of the examples: a high guess, before anything is measured.
ASSUMED_DISCORDANCE = 0.30
MAX_TEST_SHARE = 0.25
# More keeps every rival busy for long; with groups so large, other groups are what is missing.
MAX_TEST = 1000
VALIDATION_SHARE = 0.10
# How much more alike two examples of a group turn out than any two: also a guess, for the same purpose.
ASSUMED_CORRELATION = 0.10
# Answers that are no labels are kept in proportion by their lengths, in this many equal parts.
LENGTH_STRATA = 4
# Fewer cannot rank two prompts; more adds minutes to every choice made on validation, and little quality.
MIN_VALIDATION, MAX_VALIDATION = 5, 100

_Z_TWO_SIDED_5_PERCENT = NormalDist().inv_cdf(0.975)
_Z_POWER_80_PERCENT = NormalDist().inv_cdf(0.80)


def examples_to_detect(difference: float, discordance: float, design_effect: float = 1.0) -> int:
    """How many paired examples show `difference` with 80% power at the two-sided 5% level.

    Both are shares in 0..1; `discordance` is the share of examples on which the two systems disagree, or the
    mean square of their differences where an answer may be partly right. It is taken to be at least
    `difference`, as it always is of right and wrong answers; of others that asks for more examples than
    needed. Connor 1987, Biometrics 43:207: with psi the discordance and d the difference, n =
    (z_a sqrt(psi) + z_b sqrt(psi - d^2))^2 / d^2, times the design effect of examples that come in groups.
    """
    if not 0 < difference <= 1:
        raise ValueError(f"a difference of {difference} cannot be detected: it must be in (0, 1]")
    psi = max(discordance, difference)
    spread = _Z_TWO_SIDED_5_PERCENT * math.sqrt(psi) + _Z_POWER_80_PERCENT * math.sqrt(psi - difference**2)
    return math.ceil(design_effect * math.ceil(spread**2 / difference**2))


def detectable_difference(n: float, discordance: float, design_effect: float = 1.0) -> float | None:
    """The smallest difference that `n` paired examples show: the inverse of `examples_to_detect`.

    None where not even a difference of 1 would show (fewer than four examples of groups of their own).
    """
    n /= design_effect
    a, b = _Z_TWO_SIDED_5_PERCENT, _Z_POWER_80_PERCENT
    if n < a**2:
        return None
    root = math.sqrt(n + b**2 - a**2)
    difference = math.sqrt(discordance) * (a * math.sqrt(n) + b * root) / (n + b**2)
    if 0 < difference <= discordance:
        return difference
    # The discordance cannot be the smaller one, so both are equal: solve n d = (a + b sqrt(1 - d))^2.
    rest = (math.sqrt(n) * root - a * b) / (n + b**2)
    return 1 - rest**2


def effective_examples(group_sizes: Sequence[int]) -> float:
    """How many independent examples tell as much as groups of these sizes.

    Kish 1965, "Survey Sampling": n / (1 + (m - 1) r), with m the mean group size as an example sees it and r
    `ASSUMED_CORRELATION`.
    """
    total = sum(group_sizes)
    if not total:
        return 0.0
    seen_size = sum(size**2 for size in group_sizes) / total
    return total / (1 + (seen_size - 1) * ASSUMED_CORRELATION)


@dataclass(frozen=True, slots=True)
class LoggedRead:
    """One reading of the sealed test set."""

    purpose: str
    at: float
    """Unix seconds."""


class SealedTest:
    """The test set. Its rows come out through `read` only, and every read is logged with its purpose."""

    __slots__ = ("__examples", "__reads", "effective_size", "has_tools", "num_groups", "on_read", "seal")

    def __init__(self, examples: Iterable[Example]) -> None:
        self.__examples = tuple(examples)
        self.__reads: list[LoggedRead] = []
        self.on_read: Callable[[LoggedRead], None] | None = None
        """Hears of each read before the rows come out, to log it where it outlives the process."""
        ids = sorted(example.id for example in self.__examples)
        self.seal = hashlib.sha256("\n".join(ids).encode("ascii")).hexdigest()
        """SHA-256 over the sorted ids: the same seal means the same test set."""
        self.has_tools = any(example.tools for example in self.__examples)
        """Whether there are rows that only an engine which takes tools can be asked."""
        groups = Counter(example.group for example in self.__examples)
        self.num_groups = len(groups)
        self.effective_size = effective_examples(list(groups.values()))
        """What it can show is what so many examples of groups of their own could."""

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
    """The three sides. No group is dealt onto two of them; each side is ordered by example id."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: SealedTest

    def describe(self) -> str:
        """One sentence: the sizes, and the difference that a test set of this size can show."""
        sizes = f"train {len(self.train)}, validation {len(self.validation)}, test {len(self.test)}"
        if self.test.effective_size < 0.95 * len(self.test):
            sizes += f" in {self.test.num_groups} groups"
        difference = self.detectable_difference
        if difference is None:
            return f"{sizes}: too few to see any difference"
        return f"{sizes}: enough to see a difference of {100 * difference:.0f} points"

    @property
    def detectable_difference(self) -> float | None:
        """Of the share of right answers, see `detectable_difference`."""
        return detectable_difference(self.test.effective_size, ASSUMED_DISCORDANCE)


@dataclass(frozen=True, slots=True)
class TrainingSplit:
    """The two sides of a training that nothing is measured after."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]

    def describe(self) -> str:
        """One sentence: the sizes."""
        return f"train {len(self.train)}, validation {len(self.validation)}"


def split_examples(
    examples: Sequence[Example],
    seed: int,
    *,
    path: Path | str,
    given: Mapping[str, Sequence[Example]] | None = None,
) -> Split:
    """Deal whole groups onto those of the three sides that are not `given` ("validation", "test").

    The sides depend on the examples and `seed`, not on the order of the rows. Sizes meet `side_sizes`, and
    shares of labels those of all examples, as closely as whole groups allow. Given sides are taken as they
    are. `path` is only named in errors. Raises `DataError` on fewer than 10 examples, or fewer groups than
    sides to be dealt.
    """
    sizes = dict(zip(("train", "validation", "test"), side_sizes(_group_sizes(examples)), strict=True))
    sides = _split(examples, seed, path, sizes, given or {})
    return Split(sides["train"], sides["validation"], SealedTest(sides["test"]))


def split_for_training(
    examples: Sequence[Example],
    seed: int,
    *,
    path: Path | str,
    given: Mapping[str, Sequence[Example]] | None = None,
) -> TrainingSplit:
    """Train and validation alone, by the rules of `split_examples`."""
    _, validation, _ = side_sizes(_group_sizes(examples))
    sizes = {"train": len(examples) - validation, "validation": validation}
    sides = _split(examples, seed, path, sizes, given or {})
    return TrainingSplit(sides["train"], sides["validation"])


def side_sizes(group_sizes: Sequence[int]) -> tuple[int, int, int]:
    """How many examples train, validation and test should get, by the sizes of their groups."""
    num_examples = sum(group_sizes)
    quarter = int(num_examples * MAX_TEST_SHARE)
    design_effect = num_examples / effective_examples(group_sizes) if num_examples else 1.0
    needed = examples_to_detect(TARGET_DIFFERENCE, ASSUMED_DISCORDANCE, design_effect)
    test = min(needed, quarter, MAX_TEST)
    validation = min(max(int(num_examples * VALIDATION_SHARE), MIN_VALIDATION), MAX_VALIDATION, quarter)
    return num_examples - validation - test, validation, test


def _group_sizes(examples: Sequence[Example]) -> list[int]:
    return list(Counter(example.group for example in examples).values())


def _split(
    examples: Sequence[Example],
    seed: int,
    path: Path | str,
    sizes: Mapping[str, int],
    given: Mapping[str, Sequence[Example]],
) -> dict[str, tuple[Example, ...]]:
    dealt = {side: size for side, size in sizes.items() if side not in given}
    dealt["train"] = len(examples) - sum(size for side, size in dealt.items() if side != "train")
    groups = _shuffled_groups(examples, seed, path, list(dealt))
    sides = dict(zip(dealt, _deal(groups, list(dealt.values()), strata_of(examples)), strict=True))
    return {side: _ordered(given[side] if side in given else sides[side]) for side in sizes}


def _ordered(examples: Iterable[Example]) -> tuple[Example, ...]:
    return tuple(sorted(examples, key=lambda example: example.id))


def _shuffled_groups(
    examples: Sequence[Example], seed: int, path: Path | str, sides: Sequence[str]
) -> list[list[Example]]:
    if len(examples) < MIN_TO_SPLIT:
        raise DataError(
            path,
            f"{len(examples)} usable examples: at least {MIN_TO_SPLIT} are needed to train, choose and test, "
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


def strata_of(examples: Sequence[Example]) -> dict[str, str | int]:
    """What has to have the same share on each side, by example id: the label, or how long the answer is."""
    if has_labels(examples):
        return {example.id: example.answer for example in examples}
    by_length = sorted(examples, key=lambda example: (len(example.answer), example.id))
    return {example.id: rank * LENGTH_STRATA // len(examples) for rank, example in enumerate(by_length)}


def _deal(
    groups: Sequence[list[Example]], sizes: Sequence[int], strata: Mapping[str, str | int]
) -> list[list[Example]]:
    """Largest groups first, each to the side with room that then lacks most of its strata, else to train.

    What a side lacks is a share of what it should get; so large groups, too, are dealt in proportion. After
    Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data", for groups instead of
    examples.
    """
    totals = Counter(strata.values())
    shares = [size / sum(sizes) for size in sizes]
    lacking = [{stratum: share * total for stratum, total in totals.items()} for share in shares]
    sides: list[list[list[Example]]] = [[] for _ in sizes]
    room = list(sizes)
    for group in sorted(groups, key=len, reverse=True):
        members = Counter(strata[example.id] for example in group)

        def lack(side: int, members: Counter[str | int] = members) -> float:
            """Weighed by members; a side of size 0 lacks nothing."""
            return sum(
                count * (lacking[side][stratum] - count) / (shares[side] * totals[stratum])
                for stratum, count in members.items()
            )

        fitting = [side for side in range(len(sizes)) if len(group) <= room[side]]
        chosen = max(fitting, key=lack, default=0)
        sides[chosen].append(group)
        room[chosen] -= len(group)
        for stratum, count in members.items():
            lacking[chosen][stratum] -= count
    for side in sides:
        if not side:  # every group was too large for it: take the smallest that another side can spare
            donor = min((other for other in sides if len(other) > 1), key=lambda other: len(other[-1]))
            side.append(donor.pop())
    return [[example for group in side for example in group] for side in sides]
