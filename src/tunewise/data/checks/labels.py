"""Whether the answers are labels, decided here once for all checks that ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.forms import infer_answer_form

# More kinds of answer than this are values that happen to repeat, such as dates.
MAX_LABELS = 50
# A label is a word or a few, or a small JSON object that holds one.
MAX_LABEL_CHARACTERS = 60
# Fewer rows per label on average, and repeated answers may as well be chance.
MIN_ROWS_PER_LABEL = 3
# The rest may be slips: misspelt labels, labels that nobody used again.
MIN_COVERAGE = 0.95
_SHOWN_LABELS = 5


@dataclass(frozen=True, slots=True)
class Labels:
    """Answers of a file that tells kinds of input apart."""

    counts: Mapping[str, int]
    """Rows by answer, the most frequent first, slips included; answers are without outer white space."""
    num_rows: int

    @property
    def majority(self) -> tuple[str, float]:
        """The most frequent label, and its share of the rows."""
        label = next(iter(self.counts))
        return label, self.counts[label] / self.num_rows


def infer_labels(answers: Iterable[str]) -> Labels | None:
    """The labels, where few short answers make up nearly all rows; None where answers are of another kind."""
    counts = Counter(map(str.strip, answers))
    num_rows = counts.total()
    repeated = [
        (answer, count)
        for answer, count in counts.most_common(MAX_LABELS + 1)
        if count > 1 and len(answer) <= MAX_LABEL_CHARACTERS and "\n" not in answer
    ]
    most = min(MAX_LABELS, num_rows // MIN_ROWS_PER_LABEL)
    covered = sum(count for _, count in repeated)
    if not repeated or len(repeated) > most or covered < MIN_COVERAGE * num_rows:
        return None
    return Labels(dict(counts.most_common()), num_rows)


def describe_answers(answers: Sequence[str]) -> str:
    """What the answers look like, in a few words for the terminal."""
    if not answers:
        return "none"
    labels = infer_labels(answers)
    if labels is not None:
        shares = [f"{label!r} {count / labels.num_rows:.0%}" for label, count in labels.counts.items()]
        more = f" and {len(shares) - _SHOWN_LABELS} more" if len(shares) > _SHOWN_LABELS else ""
        return f"{len(shares)} labels: {', '.join(shares[:_SHOWN_LABELS])}{more}"
    form = infer_answer_form(answers)
    if form:
        return form.describe()
    different = len(set(answers))
    return f"{different} different ones, too few to show a form" if different > 1 else "all the same"
