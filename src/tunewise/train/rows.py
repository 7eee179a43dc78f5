"""Examples to training rows: token ids, and which of them carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunewise.chat.template import ChatTemplate, TokenizedExample
from tunewise.errors import DataError
from tunewise.models.base import BaseModel
from tunewise.records import Example
from tunewise.train.spec import TrainSpec


def refuse_long_rows(base: BaseModel, examples: Sequence[Example], spec: TrainSpec, data: Path) -> None:
    """Raise what `fine_tune` would say of a row that is too long, before hours go into anything else."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base.folder)
    template = ChatTemplate(tokenizer)
    tokenize(ChatTemplate(tokenizer, template.without_default_system()), examples, spec.max_tokens, data)


def tokenize(
    template: ChatTemplate, examples: Sequence[Example], max_tokens: int, data: Path
) -> list[TokenizedExample]:
    """Training rows of the examples, without their system messages."""
    rows = []
    for example in examples:
        turns = [message for message in example.messages if message.role != "system"]
        row = template.encode_example(turns)
        if len(row.ids) > max_tokens:
            raise DataError(
                data,
                f"this conversation has {len(row.ids)} tokens, more than the {max_tokens} that are trained "
                "on: shorten or remove it",
                line=example.line,
            )
        rows.append(row)
    return rows
