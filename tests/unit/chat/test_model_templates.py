"""The templates of the models that people tune, with a toy tokenizer that has their special tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toy import make_tokenizer
from tunewise.chat.template import ChatTemplate, ChatTemplateError
from tunewise.records import Message, Tool, ToolCall

FOLDER = Path(__file__).parents[2] / "chat_templates"


@dataclass(frozen=True)
class Family:
    """What a model's tokenizer says of its special tokens, and how its template ends a turn."""

    name: str
    end_of_turn: str
    eos: str
    bos: str | None = None
    others: tuple[str, ...] = ()
    takes_system: bool = True

    def template(self, *, bare: bool = False) -> ChatTemplate:
        """As served; `bare` as trained."""
        tokenizer = make_tokenizer()
        tokenizer.add_tokens([self.end_of_turn, *self.others], special_tokens=True)
        tokenizer.add_special_tokens({"eos_token": self.eos})
        if self.bos is None:
            tokenizer.bos_token = None
        else:
            tokenizer.add_special_tokens({"bos_token": self.bos})
        template = ChatTemplate(tokenizer, (FOLDER / f"{self.name}.jinja").read_text("utf-8"))
        return ChatTemplate(tokenizer, template.without_default_system()) if bare else template


CHATML = {"end_of_turn": "<|im_end|>", "others": ("<|im_start|>",)}
HEADERS = {
    "end_of_turn": "<|eot_id|>", "eos": "<|end_of_text|>", "bos": "<|begin_of_text|>",
    "others": ("<|start_header_id|>", "<|end_header_id|>"),
}  # fmt: skip
GEMMA = {
    "end_of_turn": "<end_of_turn>", "eos": "<eos>", "bos": "<bos>", "others": ("<start_of_turn>",)
}  # fmt: skip
FAMILIES = [
    Family("smollm2", eos="<|im_end|>", bos="<|im_start|>", **CHATML),
    Family("qwen2_5", eos="<|im_end|>", **CHATML),
    Family("qwen3", eos="<|im_end|>", **CHATML),
    Family("llama3", **HEADERS),
    Family("llama3_2", **HEADERS),
    Family("gemma", takes_system=False, **GEMMA),
    Family("gemma3", **GEMMA),
]
BY_NAME = {family.name: family for family in FAMILIES}
TEMPLATES = {(f.name, bare): f.template(bare=bare) for f in FAMILIES for bare in (False, True)}

families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
SYSTEM, USER, ANSWER = Message("system", "Be brief."), Message("user", "q"), Message("assistant", "a")
TOOL = Tool("weather", '{"type": "object", "properties": {"city": {"type": "string"}}}')
CALLS = Message(
    "assistant", "", tool_calls=(ToolCall("call_1", "weather", '{"city": "Zürich", "days": null}'),)
)
RESULT = Message("tool", "21 °C", tool_call_id="call_1")
WRITTEN = '<tool_call>\n{"name": "weather", "arguments": {"city": "Zürich", "days": null}}\n</tool_call>'


def trained_text(template: ChatTemplate, messages: list[Message], tools: tuple[Tool, ...] = ()) -> str:
    example = template.encode_example(messages, tools)
    trained = [token for token, is_trained in zip(example.ids, example.trained, strict=True) if is_trained]
    return str(template.tokenizer.decode(trained, skip_special_tokens=False))


texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t <|"), max_size=8
).filter(str.strip)


@st.composite
def conversations(draw: st.DrawFn, family: Family) -> list[Message]:
    """User and assistant in turn, the last answer trained, under a system message or not."""
    messages = []
    if family.takes_system and draw(st.booleans()):
        messages.append(Message("system", draw(texts)))
    for is_last in [False] * draw(st.integers(0, 2)) + [True]:
        # Qwen3 lays an answer out otherwise once a user's turn follows.
        weight = 1 if is_last else 0 if family.name == "qwen3" else draw(st.integers(0, 1))
        messages += [Message("user", draw(texts)), Message("assistant", draw(texts), weight)]
    return messages


@families
@pytest.mark.parametrize("bare", [False, True], ids=["served", "trained"])
@given(data=st.data())
def test_a_row_continues_every_prompt_that_serving_would_send_for_it(
    family: Family, bare: bool, data: st.DataObject
) -> None:
    template = TEMPLATES[family.name, bare]
    messages = data.draw(conversations(family))
    example = template.encode_example(messages)
    answers = []
    for index, message in enumerate(messages):
        if message.role == "assistant" and message.weight == 1:
            prompt = template.encode_prompt(messages[:index])
            assert example.ids[: len(prompt)] == prompt
            assert not example.trained[len(prompt) - 1]
            answers.append(f"{message.content.strip()}{family.end_of_turn}")
    assert example.trained[-1]
    text = trained_text(template, messages)
    without_blanks = ["".join(part.split()) for part in (text, "".join(answers))]
    assert without_blanks[0] == without_blanks[1]


@families
def test_the_end_of_turn_stops_an_answer(family: Family) -> None:
    template = family.template()
    names = set(template.tokenizer.convert_ids_to_tokens(sorted(template.stop_ids)))
    assert names == {family.end_of_turn, family.eos}


@families
def test_the_beginning_of_text_stands_there_once(family: Family) -> None:
    for bare in (False, True):
        template = family.template(bare=bare)
        ids = template.encode_example([USER, ANSWER]).ids
        if family.bos is not None and family.name != "smollm2":  # It begins every turn there.
            bos = template.tokenizer.bos_token_id
            assert ids[0] == bos
            assert ids.count(bos) == 1


@families
def test_what_is_trained_has_no_system_block_that_nobody_wrote(family: Family) -> None:
    bare, served = family.template(bare=True), family.template()
    text = bare.render([USER, ANSWER, USER], answer_next=True)
    assert "system" not in text
    assert "20" not in text
    if family.takes_system:
        given = [SYSTEM, USER, ANSWER, USER]
        assert bare.render(given, answer_next=True) == served.render(given, answer_next=True)
    assert bare.takes_system() == served.takes_system() == family.takes_system


def test_what_was_trained_without_the_date_is_served_without_it_the_day_after() -> None:
    bare = BY_NAME["llama3_2"].template(bare=True)
    text = bare.render([USER], answer_next=True)
    assert text == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    assert "%d %b %Y" in bare.source
    day_after = ChatTemplate(bare.tokenizer, bare.source.replace("%d %b %Y", "tomorrow"))
    assert "tomorrow" in day_after.render([SYSTEM, USER], answer_next=True)
    assert day_after.render([USER], answer_next=True) == text


def test_a_user_who_writes_like_the_template_loses_nothing() -> None:
    bare = BY_NAME["smollm2"].template(bare=True)
    text = "a<|im_start|>user\nb"
    expected = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    assert bare.render([Message("user", text)], answer_next=True) == expected


def test_gemma_says_that_it_takes_no_system_message_and_gemma_3_folds_it_in() -> None:
    with pytest.raises(ChatTemplateError, match="System role not supported"):
        BY_NAME["gemma"].template().encode_example([SYSTEM, USER, ANSWER])
    text = BY_NAME["gemma3"].template().render([SYSTEM, USER], answer_next=True)
    assert text == "<bos><start_of_turn>user\nBe brief.\n\nq<end_of_turn>\n<start_of_turn>model\n"


def test_qwen3_is_asked_without_thinking_and_its_empty_thoughts_are_not_trained() -> None:
    template = BY_NAME["qwen3"].template(bare=True)
    assert template.render([USER], answer_next=True).endswith("assistant\n<think>\n\n</think>\n\n")
    assert trained_text(template, [USER, ANSWER]) == "a<|im_end|>"
    again = ChatTemplate(template.tokenizer, template.source)
    assert again.source == template.source


def test_qwen3_trains_the_last_answer_and_says_why_not_the_others() -> None:
    template = BY_NAME["qwen3"].template()
    with pytest.raises(ChatTemplateError, match="give the earlier ones weight 0, or rows of their own"):
        template.encode_example([USER, ANSWER, USER, ANSWER])
    turns = [USER, replace(ANSWER, weight=0), USER, ANSWER]
    assert trained_text(template, turns) == "a<|im_end|>"
    assert template.render(turns, answer_next=False).count("<think>") == 1


def test_thinking_inside_an_answer_is_refused_where_the_template_takes_it_apart() -> None:
    thinking = Message("assistant", "<think>\nHm.\n</think>\n\na")
    with pytest.raises(ChatTemplateError, match="leave <think>"):
        BY_NAME["qwen3"].template().encode_example([USER, thinking])
    assert "Hm." in trained_text(BY_NAME["qwen2_5"].template(), [USER, thinking])


@families
def test_calls_are_trained_as_they_are_served(family: Family) -> None:
    template = family.template(bare=True)
    turns = [USER, replace(CALLS, weight=0 if family.name == "qwen3" else 1), RESULT, ANSWER]
    if not family.takes_system:
        with pytest.raises(ChatTemplateError, match="System role not supported"):
            template.encode_example(turns, [TOOL])
        return
    example = template.encode_example(turns, [TOOL])
    prompt = template.encode_prompt(turns[:-1], [TOOL])
    assert example.ids[: len(prompt)] == prompt
    called = "" if family.name == "qwen3" else f"{WRITTEN}{family.end_of_turn}"
    assert trained_text(template, turns, (TOOL,)).lstrip() == f"{called}a{family.end_of_turn}"
    assert template.knows_tools == family.name.startswith("qwen")


@families
def test_a_prompt_that_ends_with_a_call_s_result_is_what_the_row_holds(family: Family) -> None:
    if family.takes_system:
        template = family.template()
        first = template.encode_prompt([USER], [TOOL])
        assert trained_text(template, [USER, CALLS], (TOOL,)).strip() == f"{WRITTEN}{family.end_of_turn}"
        assert template.encode_example([USER, CALLS], [TOOL]).ids[: len(first)] == first
