"""Real prompts from `examples/prices.jsonl`.

A row comes again only after all others, so that no engine finds a prompt of an earlier round in its cache.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer

from serving.worker import Prompt
from tunewise.approaches.prompted import Prompted
from tunewise.chat.template import ChatTemplate
from tunewise.data.dataset import read_dataset
from tunewise.data.instructions import common_instruction
from tunewise.models.base import BaseModel
from tunewise.records import Example, Message

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
SHOTS_OF_A_LONG_PROMPT = 8


class Prompts:
    """Draws from the examples in an order fixed by `seed`, and from the beginning again once all are used."""

    def __init__(self, base: BaseModel, seed: int = 0) -> None:
        self._template = ChatTemplate(AutoTokenizer.from_pretrained(base.folder))
        self._examples = list(read_dataset(PRICES).examples)
        random.Random(seed).shuffle(self._examples)
        self._instruction = common_instruction(self._examples)
        self._used = 0

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer."""
        return sorted(self._template.stop_ids)

    @property
    def max_answer_tokens(self) -> int:
        """Twice the longest answer of the data, as an evaluation cuts its answers."""
        longest = max(self._examples, key=lambda example: len(example.answer))
        return 2 * sum(self._template.encode_example(longest.messages).trained)

    def short(self, number: int) -> list[Prompt]:
        """The instruction and one input."""
        return [self._prompt(example.prompt) for example in self._draw(number)]

    def long(self, number: int) -> list[Prompt]:
        """The instruction, earlier turns that no other prompt has, and one input."""
        return [self.with_shots(1, SHOTS_OF_A_LONG_PROMPT)[0] for _ in range(number)]

    def with_shots(self, number: int, num_shots: int) -> list[Prompt]:
        """Inputs after the same instruction and the same shots."""
        asker = Prompted("few-shot", "", self._instruction, self._draw(num_shots))
        return [self._prompt(asker.messages(example)) for example in self._draw(number)]

    def _draw(self, number: int) -> list[Example]:
        drawn = [self._examples[(self._used + i) % len(self._examples)] for i in range(number)]
        self._used += number
        return drawn

    def _prompt(self, messages: Sequence[Message]) -> Prompt:
        turns = [(message.role, message.content) for message in messages]
        return Prompt(turns, self._template.encode_prompt(messages))
