"""Which metrics there are, and which of them fit the answers of a file.

To add one, write a function `(answer, expected) -> float | None` in the file of its family. Give it a line in
`METRICS` and, where it should be measured without being asked for, in `_BY_KIND`. "Where things go" in
`docs/architecture.md` says where else it is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from tunewise.data.forms import DOMINANT, LabelForm
from tunewise.data.instructed_forms import InstructedForms, infer_forms
from tunewise.data.strict_json import read_object
from tunewise.errors import SpecError
from tunewise.evaluate.metrics.json_fields import json_field_accuracy, json_validity
from tunewise.evaluate.metrics.knowing import FormKept, Knowing
from tunewise.evaluate.metrics.label_sets import SET_METRICS
from tunewise.evaluate.metrics.matching import contains_answer, exact_match, numeric_match
from tunewise.evaluate.metrics.overlap import chrf, rouge_l
from tunewise.evaluate.metrics.own import TRIALS, load_metric, names_function
from tunewise.evaluate.metrics.reading import is_number
from tunewise.evaluate.metrics.similarity import SIMILARITY, open_similarity
from tunewise.records import Example

Metric = Callable[[str, Example], float | None]
"""Of an answer to an example: 1 is right, 0 is wrong, None is undefined."""
AnswerKind = Literal["JSON", "labels", "numbers", "short texts", "texts"]

METRICS: dict[str, Callable[[str, str], float | None]] = {
    "exact_match": exact_match,
    "macro_f1": exact_match,  # of one example; `SET_METRICS` has that of the set
    "json_field_accuracy": json_field_accuracy,
    "json_validity": json_validity,
    "numeric_match": numeric_match,
    "contains_answer": contains_answer,
    "chrf": chrf,
    "rouge_l": rouge_l,
}
KNOWING, FORM = "knowing", "form"
METRIC_NAMES = (*METRICS, SIMILARITY, KNOWING, FORM)
SHORT_ANSWER_WORDS = 5
"""What `DOMINANT` of short texts stay within; there is mostly one way to put those, so they are matched."""

ROUNDING = 1e-6
"""What a metric may lack of 1 and yet mean right, as one that divides or multiplies may."""

_BY_KIND: Mapping[AnswerKind, tuple[str, ...]] = {
    "JSON": ("exact_match", "json_field_accuracy", "json_validity"),
    "labels": ("exact_match", "macro_f1"),
    "numbers": ("exact_match", "numeric_match"),
    "short texts": ("exact_match", "contains_answer", "chrf"),
    "texts": ("chrf", "rouge_l", "exact_match"),
}


@dataclass(frozen=True, slots=True)
class Scoring:
    """The metrics of a run; the first is the primary one, which decides."""

    answers: AnswerKind
    """What most training answers are."""
    metrics: Mapping[str, Metric]

    @property
    def primary(self) -> str:
        """The name of the primary metric."""
        return next(iter(self.metrics))

    def score(self, answer: str, example: Example) -> dict[str, float | None]:
        """All metrics of one answer, by name."""
        return {name: metric(answer, example) for name, metric in self.metrics.items()}

    def score_failed(self, example: Example) -> dict[str, float | None]:
        """No value of all metrics that have one for this example, as they do for the answer expected of it.

        The others, `knowing` for one where the prompt gives the answer away, tell nothing of a failed call.
        """
        return {n: None for n, value in self.score(example.answer, example).items() if value is not None}

    def describe(self) -> str:
        """One line for the terminal."""
        others = [name for name in self.metrics if name != self.primary]
        return f"scored by {self.primary}, and beside it {', '.join(others)}"


def choose_scoring(train: Sequence[Example], asked: str | None = None) -> Scoring:
    """The metrics that fit the training answers, with the one that was asked for as the primary one.

    `asked` is a name of `METRIC_NAMES` or `module.py:function`. Raises `SpecError` where there is no such
    metric, where it makes no sense of these answers or calls the expected ones less than right, or where the
    function fails on some; and `ModelUnavailableError` where it needs a model that is not installed.
    """
    forms = infer_forms(train)
    kind = _kind_of(train, forms)
    labels = forms.overall.labels if isinstance(forms.overall, LabelForm) else ()
    known = {name: _of_example(metric) for name, metric in METRICS.items()}
    known |= {KNOWING: Knowing(labels), FORM: FormKept(forms)}
    if asked == SIMILARITY:
        known[SIMILARITY] = open_similarity()
    names = [*_BY_KIND[kind], KNOWING, FORM]
    if asked is not None and names_function(asked):
        own = load_metric(asked)
        if own.name in METRIC_NAMES:
            raise SpecError(
                f"--metric {asked}: {own.name} is the name of a metric already: rename the function"
            )
        own.try_on(train)
        known[own.name] = own
        asked = own.name
    if asked is not None:
        _check_sense(asked, known, kind, train)
        names = [asked, *(name for name in names if name != asked)]
    return Scoring(kind, {name: known[name] for name in names})


def _check_sense(asked: str, known: Mapping[str, Metric], kind: AnswerKind, train: Sequence[Example]) -> None:
    if asked not in known:
        raise SpecError(
            f"unknown metric {asked!r}: choose from {', '.join(METRIC_NAMES)}, or give module.py:function"
        )
    if asked in SET_METRICS and kind != "labels":
        raise SpecError(f"--metric {asked} is for labels, and answers here are {kind}: leave it out")
    of_expected = ((known[asked](example.answer, example), example.line) for example in train)
    tried = list(islice(((value, line) for value, line in of_expected if value is not None), TRIALS))
    if not tried:
        raise SpecError(f"--metric {asked} is undefined for all answers here, which are {kind}: leave it out")
    worst, line = min(tried)
    if worst < 1 - ROUNDING:
        raise SpecError(
            f"--metric {asked} gives the expected answer of line {line} itself {worst:.3g}, where 1 is "
            "right: let it give that, or choose another"
        )


def _of_example(metric: Callable[[str, str], float | None]) -> Metric:
    return lambda answer, example: metric(answer, example.answer)


def _kind_of(train: Sequence[Example], forms: InstructedForms) -> AnswerKind:
    answers = [example.answer for example in train]

    def most(has: Callable[[str], bool]) -> bool:
        return sum(map(has, answers)) >= DOMINANT * len(answers)

    if most(lambda answer: read_object(answer) is not None):
        return "JSON"
    if isinstance(forms.overall, LabelForm):
        return "labels"
    if most(is_number):
        return "numbers"
    return "short texts" if most(lambda answer: len(answer.split()) <= SHORT_ANSWER_WORDS) else "texts"
