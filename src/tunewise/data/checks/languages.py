"""Rows in another language than the rest: told by their script, and within one script by langid's model."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.passages import shorten
from tunewise.records import Example

# With less agreement the data are meant to be in several languages.
DOMINANT_SHARE = 0.85
# Names, brands and quoted words of other languages are shorter.
MIN_LETTERS = 16
# Of the letters of a text: more of another script is no quotation.
MIN_FOREIGN_SHARE = 0.3
# A letter of these stands for a syllable or a word.
_DENSE_SCRIPTS = {"HAN": 4, "HANGUL": 2}
# What decides which language the file is in.
SAMPLE_ROWS = 2000
MIN_SAMPLED_TEXTS = 20
MIN_SAMPLE_CONFIDENCE = 0.5
# With less, as of addresses and prices, the texts are fragments in no language that can be told.
MIN_SURE_SHARE = 0.5
# The file's most frequent words make up about half of a text in its language, and nearly none of another's.
COMMON_WORDS = 200
# Of the texts; the words of a few foreign ones, which may be among them, are in fewer.
MIN_COMMON_SHARE = 0.02
MAX_COMMON_SHARE = 0.2
# (words, langid's confidence) from which a text counts as in another language. It is calibrated: at 0.7, no
# English text of 9,000 tweets and commands is taken for another language. Where the file's own language
# cannot be told, only whole sentences that leave no doubt.
MIN_EVIDENCE = (4, 0.7)
MIN_EVIDENCE_AMONG_FRAGMENTS = (6, 0.95)
_LOOKED_AT = 200

_BEYOND_LATIN = re.compile(
    "[\u0370-\u1dff\u2c00-\u2dff\u2e80-\ua6ff\ua800-\uab2f\uab70-\ufaff\ufb13-\ufdff\ufe70-\ufefc\uff66-\uffdc]"
)
_WORD = re.compile(r"[^\W\d_]+")


class MixedLanguages:
    """Inputs or answers in another language than nearly all others on their side.

    A translation has one language on each side and is left alone, as is a file in many languages.
    """

    code = "mixed-language"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = f"another language or script than {DOMINANT_SHARE:.0%} of the inputs, or of the answers, have"
    why = "A few such rows are too few to learn that language from, and teach the model to switch at random."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """One problem with the lines of both sides."""
        odd: dict[int, tuple[str, str]] = {}
        sides: tuple[tuple[str, Callable[[Example], str]], ...] = (
            ("answers", lambda example: example.messages[-1].content),
            ("inputs", lambda example: example.messages[-2].content),
        )
        for side, text_of in sides:
            texts = [text_of(example) for example in data.examples]
            for row, language in (_odd_languages(texts, data.seed) | _odd_scripts(texts)).items():
                odd.setdefault(row, (f"among the {side} is in {language}", texts[row]))
        if odd:
            rows = sorted(odd)
            found, text = odd[rows[0]]
            yield Problem(
                self.code,
                self.severity,
                tuple(data.examples[row].line for row in rows),
                f"line {data.examples[rows[0]].line} {found}: "
                "translate it, remove it, or add many more of it",
                shorten(text),
            )


def _odd_scripts(texts: Sequence[str]) -> dict[int, str]:
    """Rows with much of a script that is not the file's, and how they differ."""
    beyond_latin = [
        row for row, text in enumerate(texts) if not text.isascii() and _BEYOND_LATIN.search(text)
    ]
    counted = {row: _count_letters(texts[row]) for row in beyond_latin}
    main = Counter(letters.most_common(1)[0][0] for letters in counted.values() if letters)
    main["LATIN"] += len(texts) - len(beyond_latin)
    dominant, num_dominant = main.most_common(1)[0]
    if num_dominant < DOMINANT_SHARE * len(texts):
        return {}
    if dominant != "LATIN":
        counted |= {row: _count_letters(text) for row, text in enumerate(texts) if row not in counted}
    odd: dict[int, str] = {}
    for row, letters in counted.items():
        foreign, count = max(
            ((script, n) for script, n in letters.items() if script != dominant),
            key=lambda pair: pair[1],
            default=("", 0),
        )
        if count >= MIN_LETTERS and count >= MIN_FOREIGN_SHARE * letters.total():
            odd[row] = f"{foreign.capitalize()} letters, not in {dominant.capitalize()} ones as most are"
    return odd


def _count_letters(text: str) -> Counter[str]:
    """Letters by script, the dense ones counted for as many as they stand for."""
    letters = Counter(map(_script_of, text[:_LOOKED_AT]))
    del letters[""]
    for script, weight in _DENSE_SCRIPTS.items():
        if script in letters:
            letters[script] *= weight
    return letters


@cache
def _script_of(character: str) -> str:
    """The script's name; "" for what is no letter."""
    if not character.isalpha():
        return ""
    script = unicodedata.name(character, "").partition(" ")[0]
    # Japanese mixes these three.
    return (
        "HAN"
        if script in ("CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "HALFWIDTH", "KATAKANA-HIRAGANA")
        else script
    )


def _odd_languages(texts: Sequence[str], seed: int) -> dict[int, str]:
    """Rows in another language of any script, and how they differ."""
    drawn = random.Random(seed).sample(range(len(texts)), min(len(texts), SAMPLE_ROWS))
    told = [(texts[row], *_identify(texts[row])) for row in drawn if _has_words(texts[row], MIN_EVIDENCE[0])]
    if len(told) < MIN_SAMPLED_TEXTS:
        return {}
    sure = Counter(language for _, language, confidence in told if confidence >= MIN_SAMPLE_CONFIDENCE)
    is_prose = sure.total() >= MIN_SURE_SHARE * len(told)
    among = sure if is_prose else Counter(language for _, language, _ in told)
    dominant, num_dominant = among.most_common(1)[0]
    if is_prose and num_dominant < DOMINANT_SHARE * sure.total():
        return {}
    min_words, min_confidence = MIN_EVIDENCE if is_prose else MIN_EVIDENCE_AMONG_FRAGMENTS
    # Fragments are all of the file, but for what is surely foreign: its own words must not excuse it.
    common = _common_words(
        text
        for text, language, confidence in told
        if language == dominant or (not is_prose and confidence < min_confidence)
    )
    odd: dict[int, str] = {}
    for row, text in enumerate(texts):
        if _has_words(text, min_words) and _may_be_foreign(text, common, min_words):
            language, confidence = _identify(text)
            if language != dominant and confidence >= min_confidence:
                odd[row] = f"the language {language!r}, not in {dominant!r} as most are"
    return odd if len(odd) <= (1 - DOMINANT_SHARE) * len(texts) else {}


def _has_words(text: str, number: int) -> bool:
    """A quick look: as many words at most as there are spaces, and one."""
    return len(text) >= MIN_LETTERS and text.count(" ") >= number - 1


def _common_words(texts: Iterable[str]) -> frozenset[str]:
    in_texts = [set(_WORD.findall(text.lower())) for text in texts]
    counts = Counter(word for words in in_texts for word in words)
    least = MIN_COMMON_SHARE * len(in_texts)
    return frozenset(word for word, count in counts.most_common(COMMON_WORDS) if count > least)


def _may_be_foreign(text: str, common: frozenset[str], min_words: int) -> bool:
    words = _WORD.findall(text[:_LOOKED_AT].lower())
    return len(words) >= min_words and sum(word in common for word in words) <= MAX_COMMON_SHARE * len(words)


def _identify(text: str) -> tuple[str, float]:
    """The language as its ISO 639-1 code, and how probable it is."""
    language, confidence = _identifier().classify(text[:_LOOKED_AT])
    return str(language), float(confidence)


@cache
def _identifier():  # type: ignore[no-untyped-def]
    """Loaded for half a second, so only where there are sentences."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
