"""Groups of examples that were made alike, which a split has to keep on one side.

Siblings are near duplicates, and rows of one template. A template is what is left of a row without its slots.
What a slot holds is copied into the answer; what stands in very many rows is the task. So a row's *frame* is
its uncommon words that stand either in the input or in the answer. Rows with about half of their frames in
common are siblings: all pairs of two groups on average (UPGMA, Sokal and Michener 1958), so that no chain of
small steps grows through everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from tunewise.data.duplicates import join_groups
from tunewise.data.near_duplicates import find_near_duplicates
from tunewise.data.words import Pairs, WordLists, input_words, similar_pairs, split_words, unique_pairs
from tunewise.records import Example

# No group that is made here holds more of the rows, nor does a word that many rows share make two alike.
MAX_GROUP_SHARE = 0.05
MIN_GROUP_LIMIT = 3
# Mean cosine of the frames of two groups; see `docs/log.md` for what others do.
MIN_SIMILARITY = 0.45
# At most so many different answers, by row, and no JSON: labels, which say nothing of how rows were made.
LABEL_SHARE = 0.2
# Frames that share a third of their words meet with 85% probability, and a group has many such pairs.
_BANDS, _HASHES_PER_BAND, _NEIGHBOURS = 16, 2, 4
_PAIRS_AT_ONCE = 200_000


def group_siblings(examples: Sequence[Example]) -> list[Example]:
    """The same examples, with `group` widened to all siblings; groups are joined whole.

    Memory and time are near-linear in the rows. The same for every order of the rows, if their ids differ.
    """
    order = sorted(range(len(examples)), key=lambda i: (examples[i].id, examples[i].line))
    rows = [examples[i] for i in order]
    limit = max(MIN_GROUP_LIMIT, int(MAX_GROUP_SHARE * len(rows)))
    names, members = np.unique([row.group for row in rows], return_inverse=True)
    groups = _Groups(np.bincount(members, minlength=len(names)), limit)
    frames = WordLists.of(list(_frames(rows, limit)))
    near = [(pair.first, pair.second) for pair in find_near_duplicates(rows)]
    first_alike = _first_with_frame(frames)
    for a, b in [*near, *enumerate(first_alike)]:
        groups.join(members[a], members[b])
    different = np.unique(first_alike)
    groups.join_similar(_unit_vectors(frames), members, different[_similar_frames(frames.select(different))])
    joined = join_groups(rows, [str(names[groups.root(member)]) for member in members])
    by_position = dict(zip(order, joined, strict=True))
    return [by_position[i] for i in range(len(examples))]


def has_labels(examples: Sequence[Example]) -> bool:
    """Whether answers are labels: few different ones, and no JSON."""
    answers = {example.answer for example in examples}
    return len(answers) <= LABEL_SHARE * len(examples) and not any(a.lstrip()[:1] in "{[" for a in answers)


def _frames(rows: Sequence[Example], limit: int) -> Iterator[list[str]]:
    labels = has_labels(rows)
    inputs = [set(input_words(row)) for row in rows]
    answers = [set() if labels else set(split_words(row.answer)) for row in rows]
    found = [
        [word for word in said - answer if not word[0].isdigit()] + [f"={word}" for word in answer - said]
        for said, answer in zip(inputs, answers, strict=True)
    ]
    counts = Counter(word for words in found for word in words)
    return (sorted(word for word in words if counts[word] <= limit) for words in found)


def _first_with_frame(frames: WordLists) -> list[int]:
    """By row: the first row with the same frame, which is the row itself where the frame is empty."""
    first: dict[bytes, int] = {}
    bounds = enumerate(pairwise(frames.starts))
    return [
        i if start == end else first.setdefault(frames.ids[start:end].tobytes(), i)
        for i, (start, end) in bounds
    ]


def _similar_frames(frames: WordLists) -> Pairs:
    """Two groups that are similar on average have such a pair."""
    vectors, ones = _unit_vectors(frames), np.ones(len(frames.starts) - 1, dtype=np.int64)
    return unique_pairs(*(
        pairs[_mean_cosines(vectors, ones, pairs) >= MIN_SIMILARITY]
        for pairs in similar_pairs(frames.hashes(), frames.starts, _BANDS, _HASHES_PER_BAND, _NEIGHBOURS)
    ))  # fmt: skip


def _unit_vectors(frames: WordLists) -> csr_array:
    """(rows, words): each frame as a vector of length 1, so that products are cosines."""
    lengths = np.maximum(1, np.diff(frames.starts))
    values = np.repeat(1 / np.sqrt(lengths), np.diff(frames.starts))
    return csr_array((values, frames.ids, frames.starts), shape=(len(lengths), len(frames.words)))


class _Groups:
    """Disjoint sets of atoms (examples that belong together already), none made larger than `limit` rows."""

    def __init__(self, sizes: npt.NDArray[np.int64], limit: int) -> None:
        self.sizes = sizes.copy()
        self.limit = limit
        self._parent = list(range(len(sizes)))

    def root(self, atom: int) -> int:
        parent = self._parent
        while parent[atom] != atom:
            parent[atom] = atom = parent[parent[atom]]
        return int(atom)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        if low != high and self.sizes[low] + self.sizes[high] <= self.limit:
            self._parent[high] = low
            self.sizes[low] += self.sizes[high]

    def join_similar(self, vectors: csr_array, atoms: npt.NDArray[np.int64], pairs: Pairs) -> None:
        """Join groups by average linkage, along `pairs` of rows only.

        In rounds that join all mutual nearest neighbours at once (Sumengen et al. 2021, "Scaling hierarchical
        agglomerative clustering to billion-sized datasets"). The mean cosine of all pairs of two groups is
        the product of their sums of unit vectors, over both sizes. It cannot grow beyond the larger of their
        parts', so what is too far apart once is never asked about again.
        """
        roots = np.array([self.root(atom) for atom in range(len(self._parent))])
        groups = np.arange(len(roots))
        sums = _add_up(vectors, roots[atoms], len(roots))
        asked, near = unique_pairs(roots[atoms][pairs]), (np.empty((0, 2), dtype=np.int64), np.empty(0))
        while len(asked) or len(near[0]):
            asked = asked[self.sizes[groups[asked]].sum(axis=1) <= self.limit]
            similarity = _mean_cosines(sums, self.sizes[groups], asked)
            close = similarity >= MIN_SIMILARITY
            pairs = np.concatenate([near[0], asked[close]])
            similarity = np.concatenate([near[1], similarity[close]])
            merges = _mutual_nearest(pairs, similarity, len(groups))
            for one, other in groups[merges]:
                self.join(one, other)
            target = np.arange(len(groups))
            target[merges[:, 1]] = merges[:, 0]
            changed = np.zeros(len(groups), dtype=bool)
            changed[merges] = True
            again = changed[pairs].any(axis=1)
            asked, near = unique_pairs(target[pairs[again]]), (pairs[~again], similarity[~again])
            # Groups that are near no other any more are done with.
            left = np.zeros(len(groups), dtype=bool)
            left[asked] = left[near[0]] = True
            position = np.cumsum(left) - 1
            sums, groups = _add_up(sums, target, len(groups))[left], groups[left]
            asked, near = position[asked], (position[near[0]], near[1])


def _add_up(vectors: csr_array, targets: npt.NDArray[np.int64], num_targets: int) -> csr_array:
    ones, sources = np.ones(len(targets)), np.arange(len(targets))
    totals: csr_array = csr_array((ones, (targets, sources)), shape=(num_targets, len(targets))) @ vectors
    return totals


def _mean_cosines(sums: csr_array, sizes: npt.NDArray[np.int64], pairs: Pairs) -> npt.NDArray[np.float64]:
    products = [
        sums[part[:, 0]].multiply(sums[part[:, 1]]).sum(axis=1)
        for part in np.array_split(pairs, len(pairs) // _PAIRS_AT_ONCE + 1)
    ]
    means: npt.NDArray[np.float64] = np.concatenate(products) / sizes[pairs].prod(axis=1)
    # Rounded, as the order of a sum must not decide which of two equal ones is larger.
    return means.round(9)


def _mutual_nearest(pairs: Pairs, similarity: npt.NDArray[np.float64], num_groups: int) -> Pairs:
    """Pairs of which each is the other's nearest; ties by chance, lest a row of equals joins one by one."""
    chance = np.random.default_rng(0).permutation(len(pairs))
    nearness = (np.round(similarity * 1e9).astype(np.int64) << 32) | chance
    nearest = np.zeros(num_groups, dtype=np.int64)
    np.maximum.at(nearest, pairs.ravel(), np.repeat(nearness, 2))
    mutual: Pairs = pairs[(nearest[pairs] == nearness[:, None]).all(axis=1)]
    return mutual
