"""The form that most answers of a file have, and why one answer has another.

A form is inferred from the answers alone, up to a fifth of which may deviate: JSON (`json_forms`), a set of
labels, short patterns such as numbers and dates (`shapes`), or else text.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from tunewise.data.json_forms import infer_json_form, is_json
from tunewise.data.shapes import shape_of
from tunewise.records import Grammar

MAX_ANSWERS = 20_000
"""From which a form is inferred; more of them tell no more."""
MIN_ANSWERS = 10
"""Fewer show no form."""
DOMINANT = 0.75
"""What share of the answers has a form of its own: four fifths, and some room for chance."""
MAX_LOOKALIKES = 0.05
"""Of the answers may look like a label without being one; with more, the set of labels is an open one."""
NO_OTHER_SHAPE = 0.97
"""The share of answers that several shapes have to cover to be the only ones."""
MAX_LABEL_CHARACTERS = 60
SHORT_WORDS = 12
"""What four fifths of short texts stay within."""

_QUOTES_AND_STOPS = " \t\r\n.,;:!?\"'`*"
_GAPS = re.compile(r"[\s_-]+")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)]) ", re.MULTILINE)


class AnswerForm(Protocol):
    """What the answers have in common."""

    def describe(self) -> str:
        """In a few words, which follow "the answers are"."""

    def instruction(self) -> str:
        """What to tell a model that is to answer in this form."""

    def grammar(self) -> Grammar | None:
        """What holds a model to this form; None where no grammar can."""

    def deviation(self, answer: str) -> str | None:
        """Why this answer has another form, in words that follow "line 3"; None where it has this one."""


def infer_answer_form(answers: Sequence[str]) -> AnswerForm | None:
    """The form that at least four fifths of `answers` have. None where there are too few of them to tell.

    Of more than `MAX_ANSWERS` it looks at every second, third ... one.
    """
    if len(answers) < MIN_ANSWERS:
        return None
    distinct = Counter(answers[:: -(-len(answers) // MAX_ANSWERS)])
    return (
        infer_json_form(distinct, DOMINANT)
        or _infer_labels(distinct)
        or _infer_patterns(distinct)
        or _infer_text(distinct)
    )


@dataclass(frozen=True, slots=True)
class LabelForm:
    """One of a few texts, always spelled in the same way."""

    labels: tuple[str, ...]
    """Most frequent first."""
    spellings: Mapping[str, str]
    """Each label by what is left of it without case and punctuation."""
    shapes: frozenset[str | None]

    def describe(self) -> str:
        """The labels, or the first of them."""
        return f"labels ({_list_values(self.labels)})"

    def instruction(self) -> str:
        """All labels."""
        return f"Answer with exactly one of these and nothing else: {', '.join(self.labels)}."

    def grammar(self) -> Grammar:
        """A choice among the labels."""
        labels = " | ".join(json.dumps(label, ensure_ascii=False) for label in self.labels)
        return Grammar("lark", f"start: {labels}")

    def deviation(self, answer: str) -> str | None:
        """A new label is none as long as it looks like one: `rare-label` names those."""
        if answer in self.labels:
            return None
        if (label := self.spellings.get(_fold_label(answer))) is not None:
            return f"spells the label {label!r} otherwise"
        if shape_of(answer) in self.shapes:
            return None
        return _name_structure(answer) or "is no label, and does not look like one"


@dataclass(frozen=True, slots=True)
class PatternForm:
    """Numbers, dates, codes: answers of a few shapes (`shapes.shape_of`)."""

    examples: Mapping[str, str]
    """One answer for each shape, most frequent first."""

    def describe(self) -> str:
        """One answer of each shape."""
        return f"short answers like {self._listed()}"

    def instruction(self) -> str:
        """The examples."""
        return f"Answer with nothing but the answer itself, written like these: {self._listed()}."

    def grammar(self) -> None:
        """None: shapes are too loose to be a grammar."""

    def _listed(self) -> str:
        return _list_values(tuple(self.examples.values()))

    def deviation(self, answer: str) -> str | None:
        """Any other shape."""
        if shape_of(answer) in self.examples:
            return None
        return _name_structure(answer) or f"is not written like the others ({self._listed()})"


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that texts have or have not."""

    has: Callable[[str], bool]
    noun: str
    agreement: float
    """From which share on all others deviate."""


@dataclass(frozen=True, slots=True)
class TextForm:
    """Prose, whose form is no more than what nearly all have in common."""

    words: tuple[int, int]
    """What nine tenths stay within."""
    max_words: int | None
    """Beyond which a text stands out among short ones."""
    always: tuple[Trait, ...]
    never: tuple[Trait, ...]
    opening: str | None
    """The first word of nearly all."""

    def describe(self) -> str:
        """Length, and what they have in common."""
        low, high = self.words
        length = f"{low} word{'s' * (low != 1)}" if low == high else f"{low} to {high} words"
        details = [f"opening with {self.opening!r}"] * (self.opening is not None)
        if self.always:
            details.append(f"with {' and '.join(trait.noun for trait in self.always)}")
        return " ".join([f"texts of {length}", *details])

    def instruction(self) -> str:
        """Length, and what they have in common."""
        return f"Answer with nothing but the answer itself. Answers are {self.describe()}."

    def grammar(self) -> None:
        """None: prose has none."""

    def deviation(self, answer: str) -> str | None:
        """What it has that the others have not, or the other way round."""
        for trait in self.never:
            if trait.has(answer):
                return f"has {trait.noun}, which the others have not"
        for trait in self.always:
            if not trait.has(answer):
                return f"lacks {trait.noun}, which the others have"
        if self.opening is not None and _first_word(answer) != self.opening:
            return f"does not open with {self.opening!r}, as the others do"
        if self.max_words is not None and len(answer.split()) > self.max_words:
            return f"is longer than {self.max_words} words, where the others have {self.words[1]} at most"
        return None


def _infer_labels(distinct: Mapping[str, int]) -> LabelForm | None:
    total = sum(distinct.values())
    frequent = [answer for answer, count in distinct.items() if count >= max(2, total / 200)]
    spellings: dict[str, str] = {}
    for answer in sorted(frequent, key=lambda answer: -distinct[answer]):
        # What many rows repeat may still be a label in other clothes.
        if len(answer) <= MAX_LABEL_CHARACTERS and not _wraps_label(answer, spellings):
            spellings.setdefault(_fold_label(answer), answer)
    labels = tuple(spellings.values())
    if len(labels) > math.sqrt(total) or sum(distinct[label] for label in labels) < DOMINANT * total:
        return None
    looks = frozenset(shape_of(label) for label in labels) - {None}
    alike = sum(count for answer, count in distinct.items() if shape_of(answer) in looks)
    if alike - sum(distinct[label] for label in labels) > MAX_LOOKALIKES * total:
        return None
    return LabelForm(labels, spellings, looks)


def _wraps_label(answer: str, labels: Iterable[str]) -> bool:
    """Whether it is a label with markup or at least three more words around it."""
    if _name_markup(answer) is not None:
        return True
    words = _fold_label(answer).split()
    return any(len(words) >= len(label.split()) + 3 and set(label.split()) <= set(words) for label in labels)


def _infer_patterns(distinct: Mapping[str, int]) -> PatternForm | None:
    total = sum(distinct.values())
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for answer, count in distinct.items():
        if (shape := shape_of(answer)) is not None:
            counts[shape] += count
            examples.setdefault(shape, answer)
    shapes = [shape for shape, count in counts.most_common() if count >= total / 50]
    if shapes and counts[shapes[0]] >= DOMINANT * total:
        shapes = shapes[:1]
    elif sum(counts[shape] for shape in shapes) < NO_OTHER_SHAPE * total:
        return None
    if not any("N" in shape or "9" in shape for shape in shapes):
        return None  # Words alone come in more shapes than any sample shows.
    return PatternForm({shape: examples[shape] for shape in shapes})


def _infer_text(distinct: Mapping[str, int]) -> TextForm:
    total = sum(distinct.values())
    lengths = sorted((len(answer.split()), count) for answer, count in distinct.items())
    usual = _quantile(lengths, 0.8 * total)
    short = usual <= SHORT_WORDS
    always, never = [], []
    for trait in _TRAITS_OF_SHORT if short else _TRAITS_OF_LONG:
        share = sum(count for answer, count in distinct.items() if trait.has(answer)) / total
        if share >= trait.agreement:
            always.append(trait)
        elif share <= 1 - trait.agreement:
            never.append(trait)
    openings: Counter[str] = Counter()
    for answer, count in distinct.items():
        openings[_first_word(answer)] += count
    opening, opened = openings.most_common(1)[0]
    return TextForm(
        words=(_quantile(lengths, 0.05 * total), usual if short else _quantile(lengths, 0.95 * total)),
        max_words=3 * usual + 6 if short else None,
        always=tuple(always),
        never=tuple(never),
        opening=opening if opening and opened >= 0.95 * total else None,
    )


def _quantile(weighted: Sequence[tuple[int, int]], rank: float) -> int:
    """The first value at which the counts of (value, count), in order, reach `rank`."""
    reached = accumulate(count for _, count in weighted)
    return next(value for (value, _), count in zip(weighted, reached, strict=True) if count >= rank)


def _fold_label(text: str) -> str:
    return _GAPS.sub(" ", text.strip(_QUOTES_AND_STOPS).casefold())


def _first_word(text: str) -> str:
    words = text.split(maxsplit=1)
    return words[0] if words else ""


def _list_values(values: Sequence[str]) -> str:
    on_one_line = (" ".join(value.split()) for value in values[:4])
    shown = ", ".join(value if len(value) <= 30 else f"{value[:27]}..." for value in on_one_line)
    return shown if len(values) <= 4 else f"{shown} and {len(values) - 4} more"


def _name_structure(answer: str) -> str | None:
    """What an answer is that should have been a few words."""
    return _name_markup(answer) or ("is a sentence" if len(answer.split()) > 3 else None)


def _name_markup(answer: str) -> str | None:
    if _has_fence(answer):
        return "has a code fence"
    if is_json(answer):
        return "is JSON"
    return "has several lines" if _has_lines(answer) else None


def _has_fence(text: str) -> bool:
    return "```" in text


def _has_markup(text: str) -> bool:
    return "**" in text or text.startswith("#") or "\n#" in text or _LIST_ITEM.search(text) is not None


def _has_lines(text: str) -> bool:
    return "\n" in text.strip()


def _has_stop(text: str) -> bool:
    return text.rstrip().endswith((".", "!", "?", "。", "！", "？"))


_JSON_TRAIT = Trait(is_json, "JSON", DOMINANT)
_TRAITS_OF_SHORT = (
    _JSON_TRAIT,
    Trait(_has_fence, "a code fence", DOMINANT),
    Trait(_has_markup, "Markdown", 0.95),
    Trait(_has_lines, "several lines", 0.95),
    Trait(_has_stop, "a full stop at the end", 0.97),
)
# Lists, code and paragraphs come and go in good prose.
_TRAITS_OF_LONG = (_JSON_TRAIT,)
