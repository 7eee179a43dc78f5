"""What an answer holds and how it is written, told apart.

One calls for retrieval, the other for fine-tuning or a grammar: an answer may name the right value in a
sentence where JSON was asked for, and perfect JSON may hold the wrong value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunewise.data.forms import AnswerForm, LabelForm
from tunewise.data.instructed_forms import InstructedForms
from tunewise.data.strict_json import read_object
from tunewise.evaluate.metrics.reading import list_leaves, list_units
from tunewise.records import Example

ECHOED = 0.8
"""An example of which the prompt itself holds as much shows no knowledge: an echo would."""
MAX_TIMES, MAX_MORE = 3, 20
"""An answer is read up to so many times the words of the expected one, or so many more: who says everything
says what is right, too."""
WHOLE_WORDS = 5
"""A value of up to so many words is found whole or not at all; of a longer one, the share counts."""


class Knowing:
    """The share of what was asked for that an answer holds, whatever its form, in 0..1.

    One of a set of labels: whether it is the only one named. JSON: the share of its values (not keys, nor
    true, false and null, which no text can be searched for). Text: its words and numbers. None where nothing
    can be looked for, and where the prompt itself holds `ECHOED` of it.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        named = {_phrase(label): label for label in labels}
        # Labels that differ in nothing but punctuation or case cannot be told apart in a text.
        distinct = len(named) == len(labels) and _phrase("") not in named
        self._phrases = sorted(named, key=len, reverse=True) if distinct else []

    def __call__(self, answer: str, example: Example) -> float | None:
        """As said above. The prompt is the example's own, without what an approach adds to it."""
        prompt = "\n".join(message.content for message in example.prompt)
        echoed = self._share(list_units(prompt), example.answer)
        if echoed is None or echoed >= ECHOED:
            return None
        num_wanted = len(list_units(example.answer))
        heard = list_units(answer)[: max(MAX_TIMES * num_wanted, num_wanted + MAX_MORE)]
        return self._share(heard, example.answer)

    def _share(self, said: Sequence[str], expected: str) -> float | None:
        phrase = _phrase(expected)
        if phrase in self._phrases:
            return float(self._named(said) == {phrase})
        words = set(said)
        values = [
            found for value in _values(expected) if (found := _found(list_units(value), words)) is not None
        ]
        return sum(values) / len(values) if values else None

    def _named(self, said: Sequence[str]) -> set[str]:
        """The labels in a text; one that is part of a longer label is not named by that."""
        text, named = f" {'  '.join(said)} ", set()
        for phrase in self._phrases:
            spaced = f" {'  '.join(phrase.split())} "
            if spaced in text:
                named.add(phrase)
                text = text.replace(spaced, " ")
        return named


class FormKept:
    """1.0 when an answer has the form that the training answers to its instruction have (`data/forms.py`).

    As it stands, without the white space around it. Where the answers are labels, one of these: a new one,
    which data may bring, is none that a model may make up. None where the answers have no common form, and
    where the expected answer deviates from it itself.
    """

    def __init__(self, forms: InstructedForms) -> None:
        self._forms = forms

    def __call__(self, answer: str, example: Example) -> float | None:
        """As said above."""
        form = self._forms.form_for(example.instruction)
        if form is None or not _keeps(form, example.answer.strip()):
            return None
        return float(_keeps(form, answer.strip()))


def _keeps(form: AnswerForm, answer: str) -> bool:
    return answer in form.labels if isinstance(form, LabelForm) else form.deviation(answer) is None


def _values(expected: str) -> Iterator[str]:
    document = read_object(expected)
    if document is None:
        yield expected
        return
    for _, value in list_leaves(document):
        if value is not None and not isinstance(value, bool | dict | list):
            yield str(value)


def _found(units: Sequence[str], words: set[str]) -> float | None:
    if not units:
        return None
    share = sum(unit in words for unit in units) / len(units)
    return share if len(units) > WHOLE_WORDS else float(share == 1)


def _phrase(label: str) -> str:
    return " ".join(list_units(label))
