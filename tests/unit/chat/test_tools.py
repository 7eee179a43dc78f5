from __future__ import annotations

import json

import pytest

from toy import CHATML, make_tokenizer
from tunewise.chat.template import ChatTemplate
from tunewise.chat.tools import read_calls
from tunewise.records import Message, Tool, ToolCall

CITY = '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}'
WEATHER = Tool("weather", CITY, "The weather of a city, été comme hiver.")
DICE = Tool("dice")
CALL = ToolCall("call_1", "weather", '{"city":"Zürich"}')
WRITTEN = '<tool_call>\n{"name": "weather", "arguments": {"city": "Zürich"}}\n</tool_call>'
ASKED = Message("user", "Warm?")
CALLS = Message("assistant", "", tool_calls=(CALL,))
RESULT = Message("tool", "21 °C", tool_call_id="call_1")

KNOWS_TOOLS = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% for call in m['tool_calls'] or [] %}"
    '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
KNOWS_OTHER_TOOLS = CHATML + "{% if tools %}{{ tools | tojson }}{% endif %}"


def decoded(template: ChatTemplate, ids: list[int]) -> str:
    return str(template.tokenizer.decode(ids, skip_special_tokens=False))


@pytest.mark.parametrize("source", [CHATML, KNOWS_OTHER_TOOLS])
def test_a_template_without_our_calls_gets_all_spelled_out(source: str) -> None:
    text = ChatTemplate(make_tokenizer(), source).render([ASKED, CALLS, RESULT], [WEATHER], answer_next=True)
    system, _, rest = text.partition("<|im_end|>\n")
    [described] = [line for line in system.splitlines() if line.startswith('{"type"')]
    function = {
        "name": "weather", "description": WEATHER.description, "parameters": json.loads(CITY)
    }  # fmt: skip
    assert json.loads(described) == {"type": "function", "function": function}
    assert "été" in described
    assert rest == (
        f"<|im_start|>user\nWarm?<|im_end|>\n<|im_start|>assistant\n{WRITTEN}<|im_end|>\n"
        "<|im_start|>user\n<tool_response>\n21 °C\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_tools_follow_the_system_message_that_is_there() -> None:
    template = ChatTemplate(make_tokenizer())
    text = template.render([Message("system", "Be brief."), ASKED], [DICE], answer_next=True)
    assert text.startswith("<|im_start|>system\nBe brief.\n\nYou can call")
    assert text.count("<|im_start|>system") == 1
    assert template.render([ASKED], answer_next=True) == template.render([ASKED], [], answer_next=True)


def test_results_of_parallel_calls_are_one_turn_of_the_user() -> None:
    turns = [ASKED, Message("assistant", "Both:", tool_calls=(CALL, CALL)), RESULT, RESULT]
    text = ChatTemplate(make_tokenizer()).render(turns, answer_next=True)
    assert f"Both:\n{WRITTEN}\n{WRITTEN}<|im_end|>" in text
    assert text.count("<|im_start|>user") == 2
    assert text.count("<tool_response>\n21 °C\n</tool_response>") == 2


def test_a_template_that_writes_our_calls_is_given_tools_and_calls() -> None:
    text = ChatTemplate(make_tokenizer(), KNOWS_TOOLS).render(
        [ASKED, CALLS, RESULT], [DICE], answer_next=True
    )
    assert text.startswith('<|im_start|>system\n{"type": "function", "function": {"name": "dice"')
    assert "You can call" not in text
    assert f"assistant\n{WRITTEN}<|im_end|>\n<|im_start|>tool\n21 °C<|im_end|>" in text


@pytest.mark.parametrize("source", [CHATML, KNOWS_TOOLS])
def test_training_and_serving_lay_a_call_out_the_same_way(source: str) -> None:
    template = ChatTemplate(make_tokenizer(), source)
    answer = Message("assistant", "Warm.")
    prompt = template.encode_prompt([ASKED, CALLS, RESULT], [WEATHER])
    example = template.encode_example([ASKED, CALLS, RESULT, answer], [WEATHER])
    assert example.ids[: len(prompt)] == prompt
    trained = [token for token, is_trained in zip(example.ids, example.trained, strict=True) if is_trained]
    assert decoded(template, trained) == f"{WRITTEN}<|im_end|>Warm.<|im_end|>"
    first = template.encode_prompt([ASKED], [WEATHER])
    assert example.ids[: len(first)] == first


@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        ("No call.", "No call.", []),
        (WRITTEN, "", [("weather", '{"city": "Zürich"}')]),
        (f"Let me see.\n{WRITTEN}\n{WRITTEN}", "Let me see.", [("weather", '{"city": "Zürich"}')] * 2),
        (f"a\n\n{WRITTEN}", "a\n", [("weather", '{"city": "Zürich"}')]),
        ('<tool_call>\n{"name": "f", "arguments": {"x": "</tool_call>"}}\n</tool_call>', "",
         [("f", '{"x": "</tool_call>"}')]),
        (f'{WRITTEN}\n<tool_call>\n{{"name": "f", "arguments": {{"x": ', "",
         [("weather", '{"city": "Zürich"}')]),
        ('Hm. <tool_call>\n{"na', "Hm. ", []),
        ('<tool_call>\n{"name": "f", "arguments": ' + '{"a":' * 99999, "", []),
    ],
    ids=range(8),
)  # fmt: skip
def test_calls_are_read_back(answer: str, text: str, calls: list[tuple[str, str]]) -> None:
    assert read_calls(answer) == (text, calls)
