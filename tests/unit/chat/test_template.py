from __future__ import annotations

import pytest

from toy import CHATML, make_tokenizer
from tunewise.chat.template import ChatTemplate, ChatTemplateError
from tunewise.errors import RequestError
from tunewise.records import Message

LLAMA = (
    "{{ '<s>' }}{% if messages[0]['role'] == 'system' %}"
    "{% set given = messages[0]['content'] %}"
    "{% set rest = messages[1:] %}{% else %}"
    "{% set given = 'Cutoff: 2023' %}{% set rest = messages %}{% endif %}"
    "{{ '<|im_start|>system\n' + given + '<|im_end|>' }}"
    "{% for m in rest %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM, USER, ANSWER = Message("system", "S"), Message("user", "q"), Message("assistant", "a")


def decoded(template: ChatTemplate, ids: list[int]) -> str:
    return template.tokenizer.decode(ids, skip_special_tokens=False)


def trained_text(template: ChatTemplate, messages: list[Message]) -> str:
    example = template.encode_example(messages)
    return decoded(template, [i for i, t in zip(example.ids, example.trained, strict=True) if t])


def test_loss_is_taken_on_the_answer_and_its_end_of_turn_only() -> None:
    template = ChatTemplate(make_tokenizer())
    assert trained_text(template, [SYSTEM, USER, ANSWER]) == "a<|im_end|>"


def test_every_assistant_turn_is_trained_except_those_of_weight_zero() -> None:
    template = ChatTemplate(make_tokenizer())
    turns = [USER, ANSWER, USER, Message("assistant", "b", weight=0), USER, Message("assistant", "c")]
    assert trained_text(template, turns) == "a<|im_end|>c<|im_end|>"


def test_the_end_of_turn_is_trained_though_the_pad_token_is_the_same_token() -> None:
    tokenizer = make_tokenizer()
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    example = ChatTemplate(tokenizer).encode_example([USER, ANSWER])
    assert example.ids[-1] == tokenizer.eos_token_id
    assert example.trained[-1]


def test_an_examples_ids_begin_with_the_ids_that_serving_sends() -> None:
    template = ChatTemplate(make_tokenizer())
    prompt = [SYSTEM, USER, ANSWER, Message("user", "more")]
    ids = template.encode_prompt(prompt)
    example = template.encode_example([*prompt, Message("assistant", "z")])
    assert example.ids[: len(ids)] == ids
    assert decoded(template, example.ids[len(ids) :]) == "z<|im_end|>"


def test_the_first_special_token_is_not_doubled() -> None:
    template = ChatTemplate(make_tokenizer())
    ids = template.encode_prompt([USER])
    assert ids[0] == template.tokenizer.bos_token_id
    assert ids[1] != template.tokenizer.bos_token_id


def test_without_default_system_leaves_out_only_what_nobody_wrote() -> None:
    template = ChatTemplate(make_tokenizer())
    bare = ChatTemplate(template.tokenizer, template.without_default_system())
    assert "Be kind" in template.render([USER], answer_next=True)
    assert bare.render([USER], answer_next=True) == "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    for turns in ([SYSTEM, USER], [SYSTEM, USER, ANSWER, USER]):
        assert bare.render(turns, answer_next=True) == template.render(turns, answer_next=True)


def test_without_default_system_keeps_the_beginning_of_text_token() -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    template = ChatTemplate(tokenizer, LLAMA)
    bare = ChatTemplate(tokenizer, template.without_default_system())
    assert bare.render([USER], answer_next=True) == "<s><|im_start|>user\nq<|im_end|><|im_start|>assistant\n"
    assert bare.render([SYSTEM, USER], answer_next=True) == template.render([SYSTEM, USER], answer_next=True)


def test_a_template_without_a_default_system_block_stays_as_it_is() -> None:
    template = ChatTemplate(make_tokenizer(), NO_SYSTEM)
    assert template.without_default_system() == NO_SYSTEM


def test_quotes_and_backslashes_in_the_default_block_survive() -> None:
    odd = CHATML.replace("Be kind.", "It\\'s a \\\\ day.")
    template = ChatTemplate(make_tokenizer(), odd)
    assert "It's a \\ day." in template.render([USER], answer_next=True)
    bare = ChatTemplate(template.tokenizer, template.without_default_system())
    assert bare.render([USER], answer_next=True).startswith("<|im_start|>user")


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    forgetful = (
        "{% for m in messages[-2:] %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    with pytest.raises(ChatTemplateError, match="rewrites earlier turns"):
        ChatTemplate(make_tokenizer(), forgetful).encode_example([USER, ANSWER, Message("user", "r"), ANSWER])


def test_a_template_that_refuses_a_role_says_so() -> None:
    with pytest.raises(ChatTemplateError, match="no system"):
        ChatTemplate(make_tokenizer(), NO_SYSTEM).encode_prompt([SYSTEM, USER])


def test_a_base_without_a_template_is_refused() -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(ChatTemplateError, match="no chat template"):
        ChatTemplate(tokenizer)


def test_a_prompt_must_end_with_the_user() -> None:
    with pytest.raises(RequestError):
        ChatTemplate(make_tokenizer()).encode_prompt([USER, ANSWER])
