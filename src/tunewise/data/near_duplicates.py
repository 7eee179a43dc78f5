"""Examples that are small edits of one another: one of them was made from the other, or both from a third.

What is wrong about them is that they count twice. A place between two words at which the rows differ again
and again (Chrome or Edge, between "of" and "was") is no such accident but a slot of how they were made, so
those rows are siblings, see `siblings.py`. The same edit in many places is none: somebody may have put a
"please" to many rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import OSA

from tunewise.data.duplicates import differ_in_spacing
from tunewise.data.words import Pairs, WordLists, input_words, pairs_of_equal, similar_pairs, unique_pairs
from tunewise.records import Example

# Up to here all rows that are one word apart are found; from `LONG` on also those of several edits.
MAX_SHORT, LONG = 40, 16
# A place at which more pairs with the same answer differ is a slot: this share of the rows ...
SLOT_SHARE, SLOT_PAIRS = 0.002, 5
# Words in more rows than this say what the task is, not what the row is about.
COMMON_SHARE = 0.05
# Rows about the same thing share this much of their uncommon words ...
MIN_SHARED = 0.7
# ... or their answer, where there are so many different ones, by row, that it is no label.
TELLING_ANSWERS = 0.2
# Of pairs of words, in long rows: two words changed in twenty leave so much (Jaccard).
MIN_JACCARD = 0.7
# Word length from which one wrong letter is a typing error rather than another word.
TYPO_LENGTH = 4
_NEIGHBOURS = 4


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two examples, by position, and what differs."""

    first: int
    second: int
    edit: str
    """In a few words."""


def find_near_duplicates(examples: Sequence[Example]) -> list[NearDuplicate]:
    """Pairs with the same answer, of which one input is a small edit of the other.

    That is: case, punctuation or symbols, one of several words, their order, or, in long rows, several words.
    Near-linear: rows meet through hashes of their words with one left open (the deletion neighbourhood, Mor
    and Fraenkel 1982), long ones through MinHash. In a crowd of rows that are all alike not every pair is
    named, but each row is in one.
    """
    rows = _Rows(examples)
    candidates = unique_pairs(rows.one_word_apart(), rows.much_in_common())
    edits = [(int(a), int(b), rows.edit(int(a), int(b))) for a, b in candidates]
    pairs_at = Counter(edit.place for _, _, edit in edits if edit and not edit.certain)
    limit = max(SLOT_PAIRS, SLOT_SHARE * len(examples))
    return [
        NearDuplicate(a, b, edit.text)
        for a, b, edit in edits
        if edit
        and (edit.certain or pairs_at[edit.place] <= limit)
        and (edit.slight or rows.about_the_same(a, b))
    ]


@dataclass(frozen=True, slots=True)
class _Edit:
    text: str
    place: tuple[str, str] = ("", "")
    """The words around what differs; of slight edits the words that differ, as a slip may happen anywhere."""
    certain: bool = False
    """In no slot, whatever its place."""
    slight: bool = False
    """Changes no meaning, so nothing else has to be alike."""


class _Rows:
    """The examples as words, and what is asked about two of them."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self.inputs = [input_words(example) for example in examples]
        # A symbol comes with a number ("$5"), and `<` and `>` make no two rows alike.
        self.words = [_without_symbols(words) for words in self.inputs]
        self.answers = [" ".join(example.answer.casefold().split()) for example in examples]
        self.answers_tell = len(set(self.answers)) > TELLING_ANSWERS * len(examples)
        self.row_counts = Counter(word for words in self.words for word in set(words))
        self.common = COMMON_SHARE * len(examples)

    def one_word_apart(self) -> Pairs:
        """Short rows with one answer whose words are the same but for one, or for their order."""
        short = [i for i, words in enumerate(self.words) if 1 <= len(words) <= MAX_SHORT]
        if not short:
            return np.empty((0, 2), dtype=np.int64)
        lists = WordLists.of([self.words[i] for i in short])
        answers = WordLists.of([[self.answers[i]] for i in short]).hashes()
        keys, owners = _keys_with_a_gap(lists)
        pairs = pairs_of_equal(keys ^ answers[owners], owners, _NEIGHBOURS)
        bags = np.add.reduceat(lists.hashes(), lists.starts[:-1])
        reordered = pairs_of_equal(bags ^ answers, np.arange(len(short)), _NEIGHBOURS)
        positions: Pairs = np.array(short, dtype=np.int64)[np.concatenate([pairs, reordered])]
        return positions

    def much_in_common(self) -> Pairs:
        """Long rows with many pairs of words in common."""
        long = [i for i, words in enumerate(self.words) if len(words) >= LONG]
        lists = WordLists.of([self.words[i] for i in long])
        following = np.roll(lists.hashes(), -1)
        # The last word of each list stands alone.
        following[lists.starts[1:] - 1] = 0
        bigrams = lists.hashes() * np.uint64(3) ^ following
        pairs = unique_pairs(*similar_pairs(bigrams, lists.starts, 12, 4, _NEIGHBOURS))
        positions: Pairs = np.array(long, dtype=np.int64)[pairs]
        return positions

    def edit(self, a: int, b: int) -> _Edit | None:
        """What it takes to make the one input of the other; None where that is no small edit."""
        if self.answers[a] != self.answers[b]:
            return None
        a, b = sorted((a, b), key=lambda row: len(self.words[row]))
        one, other = self.words[a], self.words[b]
        if len(one) == len(other) > 2 and one != other and sorted(one) == sorted(other):
            return _Edit("the same words in another order", certain=True, slight=True)
        start, end = _common_ends(self.inputs[a], self.inputs[b])
        before, after = self.inputs[b][:start][-1:], self.inputs[b][len(self.inputs[b]) - end :][:1]
        place = ("".join(before), "_" + "".join(after))
        removed, added = (
            _without_symbols(words[start : len(words) - end]) for words in (self.inputs[a], self.inputs[b])
        )
        if removed == added:
            if differ_in_spacing(self.examples[a], self.examples[b]):
                return _Edit("only spacing differs, so a run uses the first", certain=True, slight=True)
            same = self.inputs[a] == self.inputs[b]
            what = "case, spacing or punctuation" if same else "symbols"
            return _Edit(f"only {what} differ", place, certain=same, slight=True)
        if len(other) > 1 and max(len(removed), len(added)) == 1:
            return self._one_word("".join(removed), "".join(added), place)
        if len(one) >= LONG:
            shared, either = (
                len(f(set(_bigrams(one)), set(_bigrams(other)))) for f in (set.__and__, set.__or__)
            )
            if shared >= MIN_JACCARD * either:
                return _Edit("a few words differ", certain=True)
        return None

    def _one_word(self, x: str, y: str, place: tuple[str, str]) -> _Edit:
        """`y` in the place of `x`, of which either may be empty."""
        text = f"{x!r} stands for {y!r}" if x else f"{y!r} is added"
        numbers = [word[0].isdigit() for word in (x, y) if word]
        # Another number has another answer, or else the answer does not depend on it.
        if all(numbers) and self.answers_tell:
            return _Edit(text, certain=True)
        if not any(numbers) and max(len(x), len(y)) >= TYPO_LENGTH and OSA.distance(x, y) <= 1:
            return _Edit(text, (min(x, y), max(x, y)), slight=True)
        return _Edit(text, place)

    def about_the_same(self, a: int, b: int) -> bool:
        """Whether two rows with the same answer share most of what is not said everywhere."""
        if self.answers_tell:
            return True
        one, other = (
            {word for word in self.words[i] if 0 < self.row_counts[word] <= self.common} for i in (a, b)
        )
        return len(one & other) >= MIN_SHARED * max(len(one), len(other))


def _common_ends(one: Sequence[str], other: Sequence[str]) -> tuple[int, int]:
    """How many words two lists start and end with in common, none of them counted twice."""
    shorter = min(len(one), len(other))
    start = next((n for n in range(shorter) if one[n] != other[n]), shorter)
    end = next((n for n in range(shorter - start) if one[-1 - n] != other[-1 - n]), shorter - start)
    return start, end


def _without_symbols(words: Sequence[str]) -> list[str]:
    return [word for word in words if word[0].isalnum()]


def _bigrams(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    return pairwise(words)


def _keys_with_a_gap(lists: WordLists) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(keys, owners): a hash of each list with each word left open in turn, and with a gap before each word.

    Lists of one length that differ in one word share the first kind; a list and the same with a word more
    share one of each. The hash is a polynomial modulo 2 ** 64, so a gap is put in by a sum.
    """
    base, gap = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
    owners, starts = lists.owners, lists.starts
    powers = np.cumprod(np.full(MAX_SHORT + 1, base), dtype=np.uint64)
    power = powers[np.arange(len(owners)) - starts[owners]]
    terms = lists.hashes() * power
    total = np.add.reduceat(terms, starts[:-1])
    before = np.cumsum(terms, dtype=np.uint64) - terms
    before -= before[starts[:-1]][owners]
    open_keys = total[owners] - terms + gap * power
    gap_keys = before + gap * power + base * (total[owners] - before)
    end_keys = total + gap * powers[np.diff(starts)]
    keys = np.concatenate([open_keys, gap_keys, end_keys])
    return keys, np.concatenate([owners, owners, np.arange(len(starts) - 1)])
