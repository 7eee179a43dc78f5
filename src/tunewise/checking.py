"""The first stage alone: everything that is wrong with a file of examples, named by line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tunewise.data.answer_sources import AnswerSources, find_answer_sources
from tunewise.data.checks import ALL_CHECKS
from tunewise.data.checks.base import SEVERITIES, CheckedData, Problem
from tunewise.data.checks.labels import describe_answers
from tunewise.data.documents import read_documents
from tunewise.data.reading import Reading
from tunewise.data.sources import read_examples, scan_examples
from tunewise.progress import Progress, SilentProgress
from tunewise.records import Example
from tunewise.settings import Settings, get_settings
from tunewise.train.spec import TrainSpec


class CheckSpec(BaseModel):
    """What decides what `tunewise check` finds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    reading: Reading = Reading()
    group_key: str | None = None
    validation: Path | None = None
    """Examples that the user set aside to choose with."""
    test: Path | None = None
    """Examples that the user set aside to test with."""
    docs: Path | None = None
    """What answers may come from; see `data.documents`."""
    base: str = "embedded"
    """The model whose tokens are counted."""
    max_tokens: int = Field(default_factory=lambda: TrainSpec().max_tokens, ge=1)
    """The longest example that is trained on."""
    seed: int = 0
    """Draws the samples of what takes too long on all rows."""

    @property
    def given_sides(self) -> dict[str, Path]:
        """The files that the user set aside."""
        sides = {"validation": self.validation, "test": self.test}
        return {side: path for side, path in sides.items() if path is not None}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found."""

    rows: int
    examples: int
    """Different ones, as a run counts them."""
    answers: str
    """What they look like, in a few words."""
    problems: tuple[Problem, ...]
    """The worst first, and the most frequent first among equals."""
    answer_sources: AnswerSources | None = None
    """Where what the answers say stands; None where there is no answer to look at."""

    @property
    def sound(self) -> bool:
        """Whether one may train on the data as they are."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        problems = [asdict(problem) | {"count": problem.count} for problem in self.problems]
        return {
            "rows": self.rows,
            "examples": self.examples,
            "answers": self.answers,
            "answer_sources": self.answer_sources and asdict(self.answer_sources),
            "problems": problems,
        }


def check(spec: CheckSpec, progress: Progress | None = None, settings: Settings | None = None) -> CheckReport:
    """Look at every row. Raises `DataError` where a file cannot be read at all."""
    progress = progress or SilentProgress()
    settings = settings or get_settings()
    with progress.task("reading", 1) as task:
        scan = scan_examples(spec.data, spec.group_key, spec.reading)
        own_system = any(example.own_system for example in scan.examples)
        documents: tuple[str, ...] = ()
        if spec.docs:
            read = read_documents(spec.docs, spec.reading.encoding)
            progress.say(read.describe())
            documents = read.texts
        data = CheckedData(
            spec.data,
            scan.examples,
            scan.rejected,
            given_splits={
                side: read_examples(path, spec.group_key, spec.reading, own_system)
                for side, path in spec.given_sides.items()
            },
            documents=documents,
            answer_sources=find_answer_sources(scan.examples, documents, spec.seed),
            count_tokens=_token_counter(spec.base, settings, progress),
            max_tokens=spec.max_tokens,
            seed=spec.seed,
        )
        task.advance()
    problems: list[Problem] = []
    with progress.task("checking", len(ALL_CHECKS)) as task:
        for each in ALL_CHECKS:
            problems += each.find(data)
            task.advance(note=f"{len(problems)} found")
    problems.sort(key=lambda problem: (SEVERITIES.index(problem.severity), -problem.count))
    return CheckReport(
        scan.num_rows,
        data.num_different,
        describe_answers([example.answer for example in scan.examples]),
        tuple(problems),
        data.answer_sources,
    )


def _token_counter(
    base: str, settings: Settings, progress: Progress
) -> Callable[[Sequence[Example]], Sequence[int]]:
    """Counts as training does, with a tokenizer that is loaded when it is first asked."""

    def count_tokens(examples: Sequence[Example]) -> Sequence[int]:
        from tunewise.chat.template import ChatTemplateError
        from tunewise.models.base import find_base, load_tokenizer
        from tunewise.train.rows import encode_row, training_template

        progress.say(f"counting tokens of {len(examples)} long rows as {base} reads them")
        tokenizer = load_tokenizer(find_base(base, settings))
        tokenizer.model_max_length = sys.maxsize  # Its own warning of long rows is this check's to give.
        template = training_template(tokenizer)

        def count(example: Example) -> int:
            try:
                return len(encode_row(template, example).ids)
            except ChatTemplateError:  # Unusable with this model, but not for its length.
                return 0

        return list(map(count, examples))

    return count_tokens
