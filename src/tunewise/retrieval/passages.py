"""Documents to passages: pieces that are small enough for a prompt, cut where the text itself has breaks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tunewise.data.documents import Document

MAX_WORDS = 160
"""Of a passage: about 210 tokens of English, within the 256 that the embedding model reads."""
OVERLAP_WORDS = 32
"""How far a passage may reach back into the one before, so that what a cut parts stands whole in one."""

# Scripts without spaces count by the character, and what has no spaces (a hash, a table of data) by 30.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]{1,30}")
_HEADING = re.compile(r"(#{1,6})\s+(\S.*?)[\s#]*$")
_FENCE = re.compile(r"\s*(?:```[^`]*|~~~.*)$")
"""Of code blocks. With more backticks in its line it is code within that line, as CommonMark has it."""
_PARAGRAPH, _SENTENCE, _LINE, _WITHIN = 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document."""

    text: str
    """The headings above it in one line (`Guide > Sizes`), if any, and the piece as it stands there."""
    source: str
    """Its document's."""


def cut_passages(
    documents: Iterable[Document], max_words: int = MAX_WORDS, overlap_words: int = OVERLAP_WORDS
) -> tuple[Passage, ...]:
    """The passages of all documents, in their order; what stands in several places is kept once.

    None holds parts of two documents, or of two sections under Markdown headings. A section of more than
    `max_words` (without its headings) is cut at the strongest break in the second half of what fits: between
    paragraphs, else sentences, else lines, else words. The next passage begins up to `overlap_words` before
    it, where something begins, or, if the cut parts words and nothing does, as far as that before.
    """
    passages: dict[str, Passage] = {}
    for document in documents:
        for headings, body in _sections(document.text):
            for piece in _cut(body, max_words, overlap_words) if body.strip() else [""]:
                text = "\n".join(part for part in (headings, piece) if part)
                passages.setdefault(text, Passage(text, document.source))
    return tuple(passages.values())


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Each stretch of text with the headings above it; a heading without text only if none is below it."""
    trail: dict[int, str] = {}
    body: list[str] = []
    in_code = False
    for line in text.splitlines():
        in_code ^= _FENCE.match(line) is not None
        heading = None if in_code else _HEADING.match(line)
        if heading is None:
            body.append(line)
            continue
        level = len(heading[1])
        if any(map(str.strip, body)) or (trail and level <= max(trail)):
            yield " > ".join(trail.values()), "\n".join(body)
        trail = {above: title for above, title in trail.items() if above < level} | {level: heading[2]}
        body = []
    if any(map(str.strip, body)) or trail:
        yield " > ".join(trail.values()), "\n".join(body)


def _cut(body: str, max_words: int, overlap_words: int) -> Iterator[str]:
    words = list(_WORD.finditer(body))
    breaks = [_PARAGRAPH, *(_break_between(body, *pair) for pair in pairwise(words))]
    start = 0
    while True:
        end = min(start + max_words, len(words))
        if end < len(words):
            middle = start + max_words // 2 + 1
            end = max(range(middle, end + 1), key=lambda place: (breaks[place], place))
        yield body[words[start].start() : words[end - 1].end()]
        if end == len(words):
            return
        overlap = range(max(end - overlap_words, start + 1), end)
        beginnings = [place for place in overlap if breaks[place] > _WITHIN]
        anywhere = overlap if breaks[end] == _WITHIN else ()
        start = [*beginnings, *anywhere, end][0]


def _break_between(body: str, word: re.Match[str], following: re.Match[str]) -> int:
    between = body[word.end() : following.start()]
    if between.count("\n") > 1:
        return _PARAGRAPH
    last = word[0].rstrip("\"'”’)]»")[-1:]
    if last in tuple("。！？") or (between and last in tuple(".!?…")):
        return _SENTENCE
    return _LINE if "\n" in between else _WITHIN
