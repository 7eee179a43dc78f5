"""Examples as words, and which of them have many words in common: what near duplicates and siblings share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tunewise.records import Example

# A number with its separators, a word with its apostrophes, or one symbol such as a currency's.
_WORD = re.compile(r"\d+(?:[.,:/'’-]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")

Pairs = npt.NDArray[np.int64]
"""(pairs, 2): positions in the list that was asked about, the smaller one first, each pair once."""


def split_words(text: str) -> list[str]:
    """Case-folded words, numbers and symbols, without punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(folded) if word[0].isalnum() or _is_symbol(word)]


def input_words(example: Example) -> list[str]:
    """Of all that the end user typed and was answered before."""
    return [word for turn in example.turns for word in split_words(turn.content)]


def _is_symbol(word: str) -> bool:
    return unicodedata.category(word[0])[0] == "S"


@dataclass(frozen=True, slots=True)
class WordLists:
    """Lists of words, laid end to end: the n-th is `ids[starts[n]:starts[n + 1]]`."""

    ids: npt.NDArray[np.int64]
    """Into `words`."""
    starts: npt.NDArray[np.int64]
    words: list[str]

    @classmethod
    def of(cls, lists: Sequence[Sequence[str]]) -> WordLists:
        """Numbered in the order of first appearance."""
        number: dict[str, int] = {}
        ids = [number.setdefault(word, len(number)) for words in lists for word in words]
        starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        return cls(np.array(ids, dtype=np.int64), starts, list(number))

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """Which list each word stands in."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    def select(self, chosen: npt.NDArray[np.int64]) -> WordLists:
        """Those at the positions `chosen`, which are in order."""
        lengths = np.diff(self.starts)
        kept = np.zeros(len(lengths), dtype=bool)
        kept[chosen] = True
        starts = np.concatenate([[0], np.cumsum(lengths[chosen])])
        return WordLists(self.ids[kept[self.owners]], starts, self.words)

    def hashes(self) -> npt.NDArray[np.uint64]:
        """64 bits of each word, the same on every machine."""
        digests = (hashlib.blake2b(word.encode(), digest_size=8).digest() for word in self.words)
        return np.frombuffer(b"".join(digests), dtype=np.uint64)[self.ids]


def similar_pairs(
    hashes: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    bands: int,
    hashes_per_band: int,
    neighbours: int,
) -> Iterator[Pairs]:
    """Pairs of sets that probably have much in common, band by band, by MinHash.

    The n-th set is of the elements with `hashes[starts[n]:starts[n + 1]]`.

    Broder 1997, "On the resemblance and containment of documents"; bands as in Leskovec, Rajaraman and
    Ullman, "Mining of Massive Datasets", ch. 3: sets of Jaccard similarity s meet in a band with probability
    s ** hashes_per_band. There each set is paired with at most as many `neighbours` on either side, so the
    number of pairs is linear in that of sets. Empty ones are in no pair.
    """
    filled = np.flatnonzero(np.diff(starts))
    if not len(filled):
        return
    multipliers = np.random.default_rng(0).integers(
        1, 2**63, size=(bands, hashes_per_band), dtype=np.uint64
    ) | np.uint64(1)
    for band in multipliers:
        keys = np.zeros(len(filled), dtype=np.uint64)
        for multiplier in band:
            smallest = np.minimum.reduceat(_mix(hashes * multiplier), starts[filled])
            keys = _mix(keys * np.uint64(31) + smallest)
        yield pairs_of_equal(keys, filled, neighbours)


def pairs_of_equal(keys: npt.NDArray[np.uint64], owners: npt.NDArray[np.int64], neighbours: int) -> Pairs:
    """Owners of equal keys, each paired with at most as many `neighbours` after it."""
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    found = []
    for step in range(1, neighbours + 1):
        equal = np.flatnonzero((keys[step:] == keys[:-step]) & (owners[step:] != owners[:-step]))
        if not len(equal):
            break
        found.append(np.stack([owners[equal], owners[equal + step]], axis=1))
    return unique_pairs(*found)


def unique_pairs(*pairs: Pairs) -> Pairs:
    """Each pair once, smaller position first, in order; none of a position with itself."""
    ordered = np.sort(np.concatenate([np.empty((0, 2), dtype=np.int64), *pairs]), axis=1)
    ordered = ordered[ordered[:, 0] < ordered[:, 1]]
    codes = np.sort((ordered[:, 0] << 32) | ordered[:, 1])
    codes = codes[np.diff(codes, prepend=-1) > 0]
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of MurmurHash3: a multiplication alone mixes upwards only."""
    mixed = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return mixed ^ (mixed >> np.uint64(33))
