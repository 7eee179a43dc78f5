"""Whether answers can be worked out from their prompts (a skill) or have to be looked up (facts). Pure.

Looks at character trigrams, which find a word in another inflection and a number in another notation, and so
tell a row's own prompt from those of other rows. `data/answer_sources.py` asks by whole words what else could
teach an answer. What a tuned model learned tells the rest: skills that no copying shows, such as translation,
close the gap to perfect knowledge, or miss it by little.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import fuzz, process
from scipy.sparse import csr_array

from tunewise.data.content import answer_texts
from tunewise.evaluate.stats import paired_gain
from tunewise.evaluate.stats.groups import Floats
from tunewise.records import Estimate, Example

MAX_PROMPTS, MAX_ANSWERS = 10_000, 1000
"""More are sampled, as each answer is compared with each prompt. Too few prompts would seldom hold the one
that a mispaired answer belongs to."""
MIN_EXAMPLES = 30
"""From fewer nothing is concluded: every measure here is then undefined."""
MAX_SHARE = 0.05
"""What more of the answers or prompts hold is the task, not the example: units, labels, wording."""
MUCH_MORE = 0.3
"""So much more of an answer in another prompt than in its own is taken for a mispaired row."""
_NEARLY = 1e-9  # Equal coverages differ in the last digits.
_ANSWERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class PromptCoverage:
    """How much of the answers their own prompts hold, beside other prompts."""

    own_auc: float
    """How often an answer's own prompt covers more of it than another one does; a tie is half (ROC AUC)."""
    own_coverage: float
    """Mean share of an answer's trigrams, weighed by their rarity, that stand in its own prompt."""
    mismatch: float
    """Share of the answers of which some other prompt covers at least `MUCH_MORE` more than their own."""
    examined: int
    """Answers that hold something rare enough to be told by."""


def measure_prompt_coverage(examples: Sequence[Example], seed: int = 0) -> PromptCoverage | None:
    """Of up to `MAX_ANSWERS` answers, each with up to `MAX_PROMPTS` prompts of other groups, drawn by `seed`.

    Only trigrams that at most `MAX_SHARE` of the answers and of the prompts hold count, each by its inverse
    document frequency log((N + 1) / n) among the answers. None where fewer than `MIN_EXAMPLES` answers have
    any, as with labels, or where there is but one group.
    """
    drawn = random.Random(seed).sample(examples, min(MAX_PROMPTS, len(examples)))
    prompts = [_trigrams(" ".join(turn.content for turn in example.turns)) for example in drawn]
    answers = [_trigrams(" ".join(answer_texts(example.answer))) for example in drawn]
    rarity = _rarities(answers, prompts)
    telling = [i for i, answer in enumerate(answers) if not answer.isdisjoint(rarity)][:MAX_ANSWERS]
    groups = np.unique([example.group for example in drawn], return_inverse=True)[1]
    if len(telling) < MIN_EXAMPLES or not np.any(groups != groups[0]):
        return None
    columns = {trigram: column for column, trigram in enumerate(rarity)}
    weighed = _matrix(answers, columns) * np.array(list(rarity.values()))
    asked = _matrix(prompts, columns).T.tocsr()
    measured = []
    for start in range(0, len(telling), _ANSWERS_AT_ONCE):
        chosen = np.array(telling[start : start + _ANSWERS_AT_ONCE])
        held = weighed[chosen]
        covered = (held @ asked).toarray() / held.sum(axis=1)[:, None]
        foreign = groups[chosen][:, None] != groups[None, :]
        measured.append(_compare(covered[np.arange(len(chosen)), chosen], covered, foreign))
    auc, own, is_mismatch = np.concatenate(measured, axis=1).mean(axis=1)
    return PromptCoverage(float(auc), float(own), float(is_mismatch), examined=len(telling))


def _compare(own: Floats, covered: Floats, foreign: NDArray[np.bool_]) -> Floats:
    """(3, answers): own AUC, own coverage, and 1 where some foreign prompt covers much more."""
    own_column = own[:, None]
    below = foreign & (covered < own_column - _NEARLY)
    equal = foreign & (np.abs(covered - own_column) <= _NEARLY)
    auc = (below.sum(axis=1) + equal.sum(axis=1) / 2) / foreign.sum(axis=1)
    return np.stack([auc, own, np.any(foreign & (covered >= own_column + MUCH_MORE), axis=1)])


def gap_closed(
    tuned: Mapping[str, float],
    floor: Mapping[str, float],
    groups: Mapping[str, str],
    rng: np.random.Generator,
    ceiling: float = 1.0,
) -> Estimate | None:
    """Of what is to be known beyond the floor, the share that the tuned model knows, with its 95% interval.

    (tuned - floor) / (ceiling - floor) on the means of what each knows (0..1) by example id; the interval is
    that of the paired gain, over a gap that is taken as it was measured. Leave out what is undefined for
    either. None where fewer than `MIN_EXAMPLES` are left, or the floor leaves no gap.
    """
    if len(tuned) < MIN_EXAMPLES:
        return None
    gain = paired_gain(tuned, floor, groups, rng)
    gap = ceiling - sum(floor.values()) / len(floor)
    if gap <= 0:
        return None
    return Estimate(gain.estimate / gap, gain.low / gap, gain.high / gap)


def near_miss(
    wrong: Mapping[str, str], expected: Mapping[str, str], patterns: Mapping[str, str]
) -> float | None:
    """How near wrong answers come to their own right answers: about 0 as guesses do, towards 1 as slips do.

    All map example ids: `wrong` to the answers that are, `expected` to the right ones of all questions, and
    `patterns` to their kinds, the same for questions that differ only in what they are about. With similarity
    s in 0..1 (rapidfuzz's `ratio`, without case), the mean of (s_own - s_others) / (1 - s_others), where
    s_others is the mean over the right answers, unlike the own one, to questions of the same kind. None where
    fewer than `MIN_EXAMPLES` wrong answers have such others.
    """
    by_pattern: dict[str, list[str]] = {}
    for example_id, answer in expected.items():
        by_pattern.setdefault(patterns[example_id], []).append(answer.casefold())
    nearness = []
    for example_id, answer in wrong.items():
        own, given = expected[example_id].casefold(), answer.casefold()
        others = [other for other in by_pattern[patterns[example_id]] if other != own]
        if not others:
            continue
        to_others = float(process.cdist([given], others, scorer=fuzz.ratio).mean()) / 100
        if to_others < 1:
            nearness.append((fuzz.ratio(given, own) / 100 - to_others) / (1 - to_others))
    return sum(nearness) / len(nearness) if len(nearness) >= MIN_EXAMPLES else None


def _trigrams(text: str) -> set[str]:
    """Of characters, without case; words begin and end with a space."""
    padded = f" {' '.join(text.casefold().split())} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _rarities(answers: Sequence[set[str]], prompts: Sequence[set[str]]) -> dict[str, float]:
    in_answers, in_prompts = (Counter(t for held in texts for t in held) for texts in (answers, prompts))
    limit = MAX_SHARE * len(answers)
    return {
        trigram: math.log((len(answers) + 1) / count)
        for trigram, count in in_answers.items()
        if count <= limit and in_prompts[trigram] <= limit
    }


def _matrix(texts: Sequence[set[str]], columns: Mapping[str, int]) -> csr_array:
    """(texts, trigrams): 1 where the text holds the trigram."""
    found = [sorted(columns[trigram] for trigram in text if trigram in columns) for text in texts]
    starts = np.cumsum([0, *map(len, found)])
    indices: NDArray[np.int64] = np.array([i for row in found for i in row], dtype=np.int64)
    return csr_array((np.ones(len(indices)), indices, starts), shape=(len(texts), len(columns)))
