"""What a check is: it looks at all rows at once, and names what it finds by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol, get_args

from tunewise.data.answer_sources import AnswerSources
from tunewise.data.duplicates import remove_respaced
from tunewise.data.sources import RejectedRow
from tunewise.records import Example

Severity = Literal["error", "warning", "note"]
"""An error makes training or measuring unsound; a warning makes it worse; a note is worth knowing."""
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""
Cost = Literal["cheap", "costly"]
"""A costly check looks at no more than a sample of very many rows, and says so."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of defect, in all the lines that have it."""

    code: str
    severity: Severity
    lines: tuple[int, ...]
    """In order; none where it concerns the file as a whole."""
    message: str
    """One sentence: what, where it shows, and what to do."""
    example: str | None = None
    """Of one line, as it stands there."""
    examined: int | None = None
    """How many rows were looked at, where it was a sample."""

    @property
    def count(self) -> int:
        """Lines that have it."""
        return len(self.lines)


@dataclass(frozen=True)
class CheckedData:
    """What checks look at."""

    path: Path
    examples: Sequence[Example]
    """All usable rows in file order, duplicates included."""
    rejected: Sequence[RejectedRow] = ()
    given_splits: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """The files that the user set aside, by "validation" and "test"."""
    documents: Sequence[str] = ()
    """Texts that answers may come from, if given."""
    answer_sources: AnswerSources | None = None
    """Where what the answers say stands; None where that was not looked for, or cannot be told."""
    count_tokens: Callable[[Sequence[Example]], Sequence[int]] | None = None
    """Tokens of whole examples in the model's own template; None where no model is at hand."""
    max_tokens: int = 2048
    """The longest example that is trained on."""
    seed: int = 0
    """Draws the samples of costly checks."""

    @cached_property
    def num_different(self) -> int:
        """Of the usable rows, as many as a run would use."""
        return len(remove_respaced(self.examples)[0])


class Check(Protocol):
    """One code of the table in `docs/checks.md`."""

    code: str
    severity: Severity
    """The worst that its problems have."""
    cost: Cost
    finds: str
    """What it finds, in a few words."""
    why: str
    """Why that matters for training."""

    def find(self, data: CheckedData) -> Iterable[Problem]:
        """Everything of this kind in `data`: usually one problem, or none."""
