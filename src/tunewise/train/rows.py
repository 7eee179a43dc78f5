"""Examples to training rows: token ids, and which of them carry loss. `tunewise tokens` shows the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.chat.template import ChatTemplate, ChatTemplateError, TokenizedExample
from tunewise.chat.turns import put_under
from tunewise.errors import DataError
from tunewise.models.base import BaseModel, load_tokenizer
from tunewise.records import Example
from tunewise.train.spec import TrainSpec


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The usable examples of one side of the split, as they are trained on."""

    examples: tuple[Example, ...]
    rows: tuple[TokenizedExample, ...]
    """One for each of `examples`."""
    dropped_lines: tuple[int, ...] = ()
    """The lines of the examples that cannot be trained on."""
    num_instructed: int = 0
    """How many rows open with a system message."""


def training_template(tokenizer: Any) -> ChatTemplate:
    """The template that a tuned model carries: the base's, without a system block that nobody wrote."""
    return ChatTemplate(tokenizer, ChatTemplate(tokenizer).without_default_system())


def instruction_of(example: Example, instructions: str | None) -> str | None:
    """The example's own system message, if that is no part of its input, or else the run's instructions."""
    return instructions if example.own_system else example.instruction or instructions


def encode_row(template: ChatTemplate, example: Example, instruction: str | None = None) -> TokenizedExample:
    """The example as it is trained: its input, under `instruction` if that is given, and its answer."""
    turns = put_under(instruction, example.turns)
    return template.encode_example([*turns, example.messages[-1]], example.tools)


def encode_rows(
    template: ChatTemplate,
    examples: Sequence[Example],
    spec: TrainSpec,
    data: Path,
    instructions: str | None = None,
) -> TrainingRows:
    """Training rows of the examples, of which `spec.instruction_share` keep or get their instruction.

    An example that cannot be trained on is refused or dropped, as `spec.unusable_rows` says, never cut.
    Raises `DataError` with the first one's line and how many there are, or when none is left.
    """
    share = spec.instruction_share if template.takes_system() else 0.0
    usable: list[Example] = []
    rows: list[TokenizedExample] = []
    problems: list[tuple[int, str]] = []
    num_instructed = 0
    for example in examples:
        instruction = instruction_of(example, instructions)
        try:
            row = _fitting(encode_row(template, example), spec.max_tokens)
            if instruction is not None and _is_drawn(example, share, spec.seed):
                instructed = encode_row(template, example, instruction)
                # One that fits only without its instruction is trained without.
                if len(instructed.ids) <= spec.max_tokens:
                    row, num_instructed = instructed, num_instructed + 1
        except (ChatTemplateError, _UnusableRow) as problem:
            problems.append((example.line, str(problem)))
            continue
        usable.append(example)
        rows.append(row)
    if problems and (spec.unusable_rows == "refuse" or not usable):
        raise _refusal(data, len(examples), problems)
    lines = tuple(line for line, _ in sorted(problems))
    return TrainingRows(tuple(usable), tuple(rows), lines, num_instructed)


def check_rows(
    base: BaseModel, train: Sequence[Example], validation: Sequence[Example], spec: TrainSpec, data: Path
) -> None:
    """Raise what `fine_tune` would say of these examples, before hours go into anything else."""
    template = training_template(load_tokenizer(base))
    refused_together = spec.unusable_rows == "refuse"
    for side in [[*train, *validation]] if refused_together else [train, validation]:
        encode_rows(template, side, spec, data)


def describe_dropped(lines: Sequence[int], num_named: int = 10) -> str:
    """One line for the terminal."""
    named = ", ".join(map(str, lines[:num_named])) + (", ..." if len(lines) > num_named else "")
    return f"  rows that cannot be trained on are left out: {len(lines)}, on the lines {named}"


class _UnusableRow(ValueError):
    """Why a row that the template lays out cannot be trained on."""


def _fitting(row: TokenizedExample, max_tokens: int) -> TokenizedExample:
    if not row.ids:
        raise _UnusableRow("no answer of it has weight 1, so nothing of it is trained: remove it")
    if len(row.ids) > max_tokens:
        raise _UnusableRow(
            f"this conversation has {len(row.ids)} tokens, more than the {max_tokens} that are trained on: "
            "shorten or remove it"
        )
    return row


def _refusal(data: Path, num_examples: int, problems: Sequence[tuple[int, str]]) -> DataError:
    line, problem = min(problems)
    if len(problems) > 1:
        problem += f" (the first of {len(problems)} of {num_examples} rows that cannot be trained on)"
    return DataError(data, problem, line=line)


def _is_drawn(example: Example, share: float, seed: int) -> bool:
    """Drawn for each example by itself, so that no other row changes it."""
    return random.Random(f"{seed} {example.id}").random() < share
