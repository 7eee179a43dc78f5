"""The real embedded model in the engine: what toy models cannot show, as near ties do not happen to them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tunewise.data.dataset import read_dataset
from tunewise.engines import open_engine
from tunewise.models.base import BaseModel
from tunewise.records import ChatRequest, Message

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"


@pytest.mark.slow
def test_greedy_answers_of_real_prompts_do_not_depend_on_the_company(embedded_base: BaseModel) -> None:
    engine = open_engine(embedded_base)
    dice = random.Random(0)
    examples = dice.sample(read_dataset(PRICES).examples, 200)
    requests = [ChatRequest(engine.base_id, example.prompt, 16) for example in examples]
    alone = [engine.generate([request])[0].text for request in requests]
    order = dice.sample(range(200), 200)
    while order:
        size = dice.randint(1, 80)
        company, order = order[:size], order[size:]
        story = (Message("user", "Tell me a story about " + "a very old " * dice.randint(1, 60) + "town."),)
        strangers = [ChatRequest(engine.base_id, story, dice.randint(1, 30), temperature=1.0)] * 3
        together = engine.generate([*strangers, *(requests[i] for i in company)])[3:]
        assert [completion.text for completion in together] == [alone[i] for i in company]
