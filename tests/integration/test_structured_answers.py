"""The real embedded model, held to a schema and to calls; a random one is in `tests/unit/engines`."""

from __future__ import annotations

import json

from tunewise.engines import open_engine
from tunewise.models.base import BaseModel
from tunewise.records import ChatRequest, Grammar, Message, Tool

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_the_embedded_model_fills_in_schemas_and_arguments(embedded_base: BaseModel) -> None:
    engine = open_engine(embedded_base)
    anna = Message("user", "Anna is 31 years old and lives in Paris. Answer in JSON.")
    weather = Message("user", "What is the weather in Paris?")
    person, call = engine.generate(
        [
            ChatRequest(engine.base_id, (anna,), 60, grammar=Grammar("json_schema", json.dumps(PERSON))),
            ChatRequest(
                engine.base_id,
                (weather,),
                60,
                tools=(Tool("get_weather", json.dumps(CITY), "The weather of a city."),),
                must_call=("get_weather",),
                parallel_tool_calls=False,
            ),
        ]
    )
    engine.close()
    assert person.finish_reason == "stop"
    assert json.loads(person.text) == {"name": "Anna", "age": 31}
    assert (call.finish_reason, call.text) == ("tool_calls", "")
    [called] = call.tool_calls
    assert (called.name, json.loads(called.arguments)) == ("get_weather", {"city": "Paris"})
