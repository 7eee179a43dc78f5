"""What an exported model and this engine are both asked: validation rows of its own run, or else examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewise.approaches.base import Approach
from tunewise.approaches.prompted import fine_tuned
from tunewise.data.dataset import read_dataset, sha256_of_data
from tunewise.data.reading import Reading
from tunewise.data.split import split_examples, split_for_training
from tunewise.engines.base import Engine
from tunewise.export.source import ExportSource
from tunewise.records import ChatRequest, Example, Grammar, Message
from tunewise.store.files import read_json

MOST_ROWS = 16
"""Each goes through every weight, so damage shows in the first; more make a rare kind of row likelier."""
MOST_ANSWER_TOKENS = 1000
"""In all rows together, as llama.cpp is asked about one token at a time."""
EXAMPLE_ANSWER_TOKENS = 32

_CONVERSATIONS = (
    (Message("user", "What is 1,299.00 EUR plus 2.5% in 2024?"),),
    (Message("system", "Answer in French."), Message("user", "Where does the Thames end?")),
    (Message("user", "def area(r):\n    return 3.14159 * r ** 2\n\nWhat does\tthis do?"),),
    (Message("user", "Übersetze: «naïve café» — 東京, Привет 👋🏽"),),
    (
        Message("user", "Name a colour."),
        Message("assistant", "Blue."),
        Message("user", "Another  one, please…"),
    ),
)
"""Numbers, spaces, code, other scripts, a system message and earlier turns: where tokenizers go wrong."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Conversations that end with an answer, and how to ask them."""

    origin: Literal["validation", "examples"]
    approach: Approach
    rows: tuple[Example, ...]
    max_tokens: int
    """Greedy answers are cut here."""


@dataclass(frozen=True, slots=True)
class _AsWritten:
    """Sends each example's messages as they are (implements `Approach`)."""

    model: str
    name: str = "as-written"
    grammar: Grammar | None = None

    def prepare(self, examples: Sequence[Example]) -> None:
        """Nothing is shown."""

    def messages(self, example: Example) -> tuple[Message, ...]:
        return example.prompt


def choose_questions(source: ExportSource, engine: Engine) -> Questions:
    """Rows that the model was not trained on, or, for a base and where they are gone, built-in examples.

    The expected answers of the examples are the engine's own.
    """
    # llama.cpp is asked in texts, without functions.
    rows = [row for row in validation_rows(source.run) if not row.tools] if source.run else []
    if not rows:
        return _example_questions(source, engine)
    lengths = [engine.count_answer_tokens(source.id, row.answer) for row in rows[:MOST_ROWS]]
    fitting = sum(sum(lengths[: index + 1]) <= MOST_ANSWER_TOKENS for index in range(len(lengths)))
    num_rows = max(1, fitting)
    longest = max(lengths[:num_rows])
    return Questions("validation", fine_tuned(source.id), tuple(rows[:num_rows]), 2 * longest)


def validation_rows(run: Path) -> Sequence[Example]:
    """The validation side of a run, split anew; empty where its data file is gone or has changed since."""
    try:
        manifest = read_json(run / "manifest.json")
        path = Path(manifest["data"]["path"])
        given = manifest["data"].get("given", {})
        if any(
            sha256_of_data(Path(file["path"])) != file["sha256"]
            for file in (manifest["data"], *given.values())
        ):
            return ()
        files = {side: Path(file["path"]) for side, file in given.items()}
        reading = Reading.model_validate(manifest["spec"].get("reading", {}))
        spec = manifest["spec"]
        own_system = None if spec.get("instructions") is None else False
        dataset = read_dataset(path, spec["group_key"], files, reading, own_system)
        # A training alone has no test set, and so another split.
        split = split_examples if "test" in manifest["split"] else split_for_training
        return split(
            dataset.examples, manifest["spec"]["seed"], path=path, given=dataset.given_examples
        ).validation
    except (OSError, ValueError, LookupError):
        return ()


def _example_questions(source: ExportSource, engine: Engine) -> Questions:
    requests = [ChatRequest(source.id, messages, EXAMPLE_ANSWER_TOKENS) for messages in _CONVERSATIONS]
    answers = engine.generate(requests)
    rows = [
        Example(f"example-{line}", (*request.messages, Message("assistant", answer.text)), line, str(line))
        for line, (request, answer) in enumerate(zip(requests, answers, strict=True), start=1)
        if answer.error is None
    ]
    return Questions("examples", _AsWritten(source.id), tuple(rows), EXAMPLE_ANSWER_TOKENS)
