"""What is trained on: rows of token ids, the same ones for both trainers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tunewise.chat.template import ChatTemplate, TokenizedExample
from tunewise.data.dataset import read_dataset
from tunewise.data.split import split_examples

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
VALIDATION_ROWS = 32


@dataclass(frozen=True)
class Workload:
    name: str
    train: list[TokenizedExample]
    validation: list[TokenizedExample]
    target: float
    """How many times as fast as TRL is wanted."""


def list_workloads(tokenizer: Any, folder: Path | None, num_examples: int) -> Iterator[Workload]:
    """The bundled data, with its instruction and without; and what the user's folder holds of public sets."""
    with_instruction = "its instruction in every row"
    yield read_workload(
        tokenizer, PRICES, "examples/prices.jsonl, without its instruction", num_examples, 2.5, keep=False
    )
    yield read_workload(
        tokenizer, PRICES, f"examples/prices.jsonl, {with_instruction}", num_examples, 4.0, keep=True
    )
    for name, target in (("tweet_sentiment", 2.5), ("us_address_json", 2.5)):
        file = folder / f"{name}.jsonl" if folder else None
        if file is not None and file.is_file():
            yield read_workload(
                tokenizer, file, f"{name}, {with_instruction}", num_examples, target, keep=True
            )


def read_workload(
    tokenizer: Any, file: Path, name: str, num_examples: int, target: float, *, keep: bool
) -> Workload:
    """`keep` leaves the rows their system messages."""
    template = ChatTemplate(tokenizer, ChatTemplate(tokenizer).without_default_system())
    split = split_examples(read_dataset(file).examples, seed=0, path=file)
    rows = [
        [
            template.encode_example([turn for turn in example.messages if keep or turn.role != "system"])
            for example in side
        ]
        for side in (split.train[:num_examples], split.validation[:VALIDATION_ROWS])
    ]
    return Workload(name, rows[0], rows[1], target)


def rows_for_memory(num_tokens: int = 4096, length: int = 256) -> list[TokenizedExample]:
    """Random rows of one length, so that nothing is padded and nothing shared; half of each is trained."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 40_000, (num_tokens // length, length), generator=generator)
    return [TokenizedExample(row, [i >= length // 2 for i in range(length)]) for row in ids.tolist()]
