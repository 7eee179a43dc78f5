"""Answers that are none, or not whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.checks.labels import infer_labels
from tunewise.data.checks.passages import Span, cut_out, shorten
from tunewise.records import Example

# A shorter question that an answer opens with may be a name or a number that the answer is about.
MIN_ECHOED_OPENING = 20
# Where this share of answers ends like a whole one, one that does not was most likely cut; with less
# agreement, most of the others would be whole as well.
MOST = 0.95
# What opens like JSON and cannot be parsed needs less agreement: only that the file is about JSON.
MOST_JSON = 0.5
# A label this many times as frequent as the word that it begins with is what was meant.
MIN_LABEL_RATIO = 20
# A convention cannot be told from fewer answers.
MIN_ANSWERS = 20
# Shorter answers are no sentences.
MIN_SENTENCE_WORDS = 5

_OPENINGS = re.compile(
    r"\W*(?:"
    r"(?:i[’']m|i am|we[’']re|we are) (?:very |so |really )?sorry[,.]? (?:but )?(?:i|we|as)\b"
    r"|(?:sorry|i apologi[sz]e|unfortunately),? (?:but )?(?:i|we) (?:can|could|am|are|do|must)"
    r"|i (?:can[’']?t|cannot|can not|won[’']t|am unable to|am not able to) "
    r"(?:assist|help|comply|fulfil|provide|generate|create|do that|answer)"
    r"|i[’']m (?:unable|not able) to "
    r"|(?:certainly|sure(?: thing)?|of course|absolutely|great question)\b[!,.: ]{1,3}"
    r"(?:here|i[’']d|i[’']ll|i can|i would|let me|let[’']s)\b"
    r"|here (?:is|are) (?:the|a|an|your) [^.!?\n]{1,60}:\s{0,3}\n"
    r")",
    re.IGNORECASE,
)
_ANYWHERE = re.compile(
    r"\bas an ai\b|\bas a (?:large )?language model\b|\b(?:training data|knowledge) cut-?off\b"
    r"|\bi hope this helps\b|\blet me know if you (?:need|have|would|want)\b",
    re.IGNORECASE,
)
# A word of each phrase above: most text holds none of them.
_MARKS = ("as an ai", "language model", "cutoff", "cut-off", "hope this helps", "let me know if")
_FENCE = "```"
_CLOSING = {"{": "}", "[": "]"}
_SMILEY = re.compile(r"[:;=8][-o^']?[(\[{<]")
_LIST_ITEM = re.compile(r"\s*(?:[-*•+]|\d+[.)]|#+|>|\|)\s")
_CUT_ENDS = frozenset(",;-–—(&")


class EchoesInput:
    """Answers that say what was asked."""

    code = "echoes-input"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "an answer that is the user's own words, or opens with all of them"
    why = "The model learns to repeat instead of to answer, and such rows are most often a slip of an export."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Of the last turn; case and outer white space make no difference."""
        found = [example for example in data.examples if _echoes(example)]
        yield from _report(self, found, "answers with the words of its own input: give the answer")


class Boilerplate:
    """What assistants say by habit."""

    code = "boilerplate"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = "refusals and phrases of assistants, such as *As an AI* or *Certainly! Here is*"
    why = "A few hundred of them teach a model to refuse and to chat where only the answer is wanted."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Wherever in the answer, or only where it opens, as fits the phrase."""
        found = [example for example in data.examples if _boilerplate(example.messages[-1].content)]
        if found:
            answer = found[0].messages[-1].content
            yield from _report(
                self,
                found,
                "answers with a phrase of assistants: write the answer, or remove the row",
                cut_out(answer, _boilerplate(answer) or (0, 0)),
            )


class TruncatedAnswers:
    """Answers that stop before their end."""

    code = "truncated-answer"
    severity: Severity = "warning"
    cost: Cost = "cheap"
    finds = (
        "open brackets or fences, half labels, ends in mid-sentence where most answers end with a full stop"
    )
    why = "The model learns to stop there, and a broken JSON answer is of no use to a program."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Each way to be cut is looked for where most answers show what a whole one looks like."""
        answers = [example.messages[-1].content.rstrip() for example in data.examples]
        signs: list[Callable[[str], bool]] = [_has_open_fence]
        if _most(_closes, [answer for answer in answers if answer[:1] in _CLOSING], MOST_JSON):
            signs.append(_is_cut_json)
        if _most(
            _is_balanced, [a for a in answers if a[:1] not in _CLOSING and ("(" in a or "[" in a or "{" in a)]
        ):
            signs.append(_has_open_bracket)
        if _most(_ends_sentence, [a for a in answers if _is_prose(a) and not _ends_without_stop(a)]):
            signs.append(_ends_within_sentence)
        signs.append(_cut_labels(answers).__contains__)
        cut = [e for e, a in zip(data.examples, answers, strict=True) if a and any(sign(a) for sign in signs)]
        if cut:
            end = cut[0].messages[-1].content[-100:]
            yield from _report(self, cut, "has an answer that stops before its end: complete it", "..." + end)


def _report(
    check: EchoesInput | Boilerplate | TruncatedAnswers,
    found: Sequence[Example],
    advice: str,
    example: str | None = None,
) -> Iterator[Problem]:
    if found:
        lines = tuple(row.line for row in found)
        shown = shorten(example if example is not None else found[0].answer)
        yield Problem(check.code, check.severity, lines, f"line {lines[0]} {advice}", shown)


def _echoes(example: Example) -> bool:
    answer, asked = example.messages[-1].content, example.messages[-2].content
    # Most answers differ in their first letter.
    if answer[:1].lower() != asked[:1].lower() and not (answer[:1].isspace() or asked[:1].isspace()):
        return False
    answer, asked = answer.strip().casefold(), asked.strip().casefold()
    return (answer != "" and answer == asked) or (
        len(asked) >= MIN_ECHOED_OPENING and answer.startswith(asked)
    )


def _boilerplate(answer: str) -> Span | None:
    match = _OPENINGS.match(answer)
    if match is None:
        lowered = answer.lower()
        if any(mark in lowered for mark in _MARKS):
            match = _ANYWHERE.search(answer)
    return match.span() if match else None


def _most(holds: Callable[[str], bool], answers: Sequence[str], share: float = MOST) -> bool:
    return len(answers) >= MIN_ANSWERS and sum(map(holds, answers)) >= share * len(answers)


def _cut_labels(answers: Sequence[str]) -> set[str]:
    """Those that are the beginning of a far more frequent label, cut within a word."""
    labels = infer_labels(answers)
    if labels is None:
        return set()
    return {
        label
        for label, count in labels.counts.items()
        for longer, frequency in labels.counts.items()
        if longer.startswith(label)
        and longer[len(label) : len(label) + 1].isalnum()
        and frequency >= MIN_LABEL_RATIO * count
    }


def _closes(answer: str) -> bool:
    return answer[-1] == _CLOSING[answer[0]]


def _is_cut_json(answer: str) -> bool:
    """Whether JSON ends too soon, rather than being wrong in another way."""
    if answer[0] not in _CLOSING:
        return False
    try:
        json.loads(answer)
    except json.JSONDecodeError as error:
        return error.pos >= len(answer) or not _closes(answer)
    except (ValueError, RecursionError):  # Numbers and nesting beyond what Python reads.
        return False
    return False


def _has_open_fence(answer: str) -> bool:
    return _FENCE in answer and answer.count(_FENCE) % 2 == 1


def _is_balanced(answer: str) -> bool:
    """By their number alone, as intervals such as `[0, 1)` close one kind with another; smileys are none."""
    return _closes_brackets(answer) or _closes_brackets(_SMILEY.sub("", answer))


def _closes_brackets(answer: str) -> bool:
    return sum(map(answer.count, "([{")) <= sum(map(answer.count, ")]}"))


def _has_open_bracket(answer: str) -> bool:
    return answer[0] not in _CLOSING and not _is_balanced(answer)


def _is_prose(answer: str) -> bool:
    return answer[:1] not in _CLOSING and answer.count(" ") >= MIN_SENTENCE_WORDS - 1


def _ends_sentence(answer: str) -> bool:
    """Anything but a letter, a digit or a sign that more follows."""
    return not answer[-1].isalnum() and answer[-1] not in _CUT_ENDS


def _ends_within_sentence(answer: str) -> bool:
    return _is_prose(answer) and not _ends_sentence(answer) and not _ends_without_stop(answer)


def _ends_without_stop(answer: str) -> bool:
    """List items, headings, addresses of pages and signatures do, though they are whole."""
    last_line = answer.rpartition("\n")[2]
    last_word = last_line.rpartition(" ")[2]
    return (
        last_line.count(" ") < MIN_SENTENCE_WORDS - 1
        or _LIST_ITEM.match(last_line) is not None
        or (last_word[-1:].isalnum() and any(sign in last_word for sign in "/@.:"))
    )
