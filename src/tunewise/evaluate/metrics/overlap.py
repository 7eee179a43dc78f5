"""How much an answer has in common with the expected one, for texts that may be put in many ways."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from rapidfuzz.distance import LCSseq

from tunewise.evaluate.metrics.reading import list_units

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


def chrf(answer: str, expected: str) -> float | None:
    """chrF2 (Popović 2015), as sacrebleu computes it: F2 of character n-grams of up to 6."""
    return float(_chrf().sentence_score(answer, [expected]).score) / 100


def rouge_l(answer: str, expected: str) -> float | None:
    """ROUGE-L (Lin 2004): F1 of the longest sequence of words that both have, in order but with gaps.

    None where no word is expected.
    """
    given, wanted = list_units(answer), list_units(expected)
    if not wanted:
        return None
    return 2 * LCSseq.similarity(given, wanted) / (len(given) + len(wanted))


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics.chrf import CHRF  # Takes longer to import than all else here together.

    return CHRF()
