"""Messages to tokens, the same way in training, evaluation and serving.

A conversation is tokenised in pieces that end where the model takes over: prompt, answer, prompt,
answer. So the ids of a training example begin with exactly the ids that serving would send as its prompt.

Some templates lay an answer out otherwise once turns follow it: Qwen3 takes its thinking out. Such an answer
is context like any other text, but it cannot be trained in the same row as what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from tunewise.chat.tools import describe_message, describe_tool, read_calls, spell_out_tools
from tunewise.errors import RequestError, TunewiseError
from tunewise.records import Message, Tool, ToolCall

TEMPLATE_FILE = "chat_template.jinja"
"""Where `transformers` and PEFT folders carry their template."""

_NO_THINKING = "{%- set enable_thinking = false -%}"
_MARKER = "\x02tunewise\x03"
"""A text that no template writes by itself."""


class ChatTemplateError(TunewiseError, ValueError):
    """The model's chat template cannot render this conversation, or renders it inconsistently."""


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """A conversation as token ids; `trained[i]` says whether loss is taken on predicting `ids[i]`."""

    ids: list[int]
    trained: list[bool]


class ChatTemplate:
    """A tokenizer with the Jinja template that lays out its conversations."""

    def __init__(self, tokenizer: Any, template: str | None = None, eos_ids: Sequence[int] = ()) -> None:
        source = template or tokenizer.chat_template
        if not source:
            raise ChatTemplateError("this base model has no chat template: choose an instruction-tuned one")
        # Rows hold answers, not thoughts. Written into the source, so that whoever renders it does the same.
        if "enable_thinking" in source and not source.startswith(_NO_THINKING):
            source = _NO_THINKING + source
        self.tokenizer = tokenizer
        self.source: str = source
        self.knows_tools = "tools" in source and self._writes_calls()
        self.stop_ids = frozenset({*eos_ids, tokenizer.eos_token_id} - {None}) | self._end_of_turn()

    @classmethod
    def of_adapter(cls, folder: Path, tokenizer: Any, eos_ids: Sequence[int] = ()) -> Self:
        """The template in an adapter's folder, or the tokenizer's own where it holds none."""
        own = folder / TEMPLATE_FILE
        return cls(tokenizer, own.read_text("utf-8") if own.is_file() else None, eos_ids)

    def render(self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, answer_next: bool) -> str:
        """The text of a conversation; `answer_next` opens the assistant's turn at the end.

        `tools` are what its assistant could call. A template that does not write tools and calls as
        `chat/tools.py` reads them is given both spelled out.
        """
        if not self.knows_tools:
            messages, tools = spell_out_tools(messages, tools), ()
        return self._render(messages, tools, answer_next=answer_next)

    def encode_prompt(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The ids to send for `messages`, up to where the assistant's answer begins."""
        if not messages or messages[-1].role == "assistant":
            raise RequestError("the last message must come from the user or a tool", param="messages")
        text = self.render(messages, tools, answer_next=True)
        ends = [end for span in self._answer_spans(messages, tools, text).values() for end in span]
        return [token for piece in self._encode_pieces(text, ends) for token in piece]

    def encode_example(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> TokenizedExample:
        """A training example: loss on each assistant turn of weight 1 and on its end-of-turn token.

        Nothing after the last trained token is kept, since no loss depends on it; a conversation without
        such a turn has no tokens. Raises `ChatTemplateError` for an answer that cannot be trained as asked.
        """
        trained_turns = [i for i, m in enumerate(messages) if m.role == "assistant" and m.weight == 1]
        if not trained_turns:
            return TokenizedExample([], [])
        messages = messages[: trained_turns[-1] + 1]
        text = self.render(messages, tools, answer_next=False)
        spans = self._answer_spans(messages, tools, text)
        for index in trained_turns:
            if index not in spans:
                raise ChatTemplateError(_why_untrainable(messages[index], is_last=index == trained_turns[-1]))
        ids: list[int] = []
        trained: list[bool] = []
        pieces = self._encode_pieces(text, [end for span in spans.values() for end in span])
        for index, before, answer in zip(spans, pieces[::2], pieces[1::2], strict=False):
            end = next((i + 1 for i, token in enumerate(answer) if token in self.stop_ids), None)
            if end is None:
                raise ChatTemplateError("the chat template closes an answer with no end-of-turn token")
            ids += before + answer
            is_trained = messages[index].weight == 1
            trained += [False] * len(before) + [is_trained] * end + [False] * (len(answer) - end)
        end = max(i + 1 for i, is_trained in enumerate(trained) if is_trained)
        return TokenizedExample(ids[:end], trained[:end])

    def encode_scored(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> TokenizedExample:
        """The prompt as it is sent, and behind it the last message, an answer, all of it predicted."""
        *prompt, answer = messages
        context = [replace(turn, weight=0) for turn in prompt]
        num_prompt = len(self.encode_prompt(prompt, tools))
        ids = self.encode_example([*context, replace(answer, weight=1)], tools).ids
        return TokenizedExample(ids, [index >= num_prompt for index in range(len(ids))])

    def count_answer_tokens(self, answer: str) -> int:
        """How many tokens the model must write to give this answer, its end of turn included."""
        return sum(self.encode_example([Message("user", ""), Message("assistant", answer)]).trained)

    def takes_system(self) -> bool:
        """Whether a system message can be given at all; Gemma's first templates refuse it."""
        try:
            text = self.render([Message("system", _MARKER), Message("user", "a")], answer_next=True)
        except ChatTemplateError:
            return False
        return _MARKER in text

    def without_default_system(self) -> str:
        """A template that lays out the same turns, but adds no system block that nobody wrote.

        Many templates put a default system message before a conversation that has none. A model that is
        tuned to need no instructions should not pay for that one either. It is left out before a user's turn,
        whatever it says then: Llama 3.2 writes the date of the day.
        """
        opening, first_turn = self._default_system_block()
        if not first_turn:
            return self.source
        # Asked before the template runs: some take the system message off `messages`, which llama.cpp keeps.
        return (
            "{%- set opens_with_user = messages[0]['role'] == 'user' and not tools -%}"
            "{%- set with_default %}" + self.source + "{% endset -%}"
            f"{{%- set first_turn = {_jinja_string(first_turn)} -%}}"
            "{%- if opens_with_user -%}"
            f"{{{{- {_jinja_string(opening + first_turn)} -}}}}"
            "{{- with_default.split(first_turn)[1:] | join(first_turn) -}}"
            "{%- else -%}{{- with_default -}}{%- endif -%}"
        )

    def _render(self, messages: Sequence[Message], tools: Sequence[Tool], *, answer_next: bool) -> str:
        try:
            text = self.tokenizer.apply_chat_template(
                [describe_message(message) for message in messages],
                tools=[describe_tool(tool) for tool in tools] or None,
                chat_template=self.source,
                tokenize=False,
                add_generation_prompt=answer_next,
            )
        except Exception as error:  # Jinja code from a model folder can raise anything.
            raise ChatTemplateError(f"the chat template refuses this conversation: {error}") from error
        return str(text)

    def _writes_calls(self) -> bool:
        """Whether what the template makes of a call reads as that call."""
        call = ToolCall("call00000", "probe", '{"a": [1]}')
        turns = [Message("user", "a"), Message("assistant", "", tool_calls=(call,))]
        try:
            text = self._render(turns, [Tool(call.name)], answer_next=False)
        except ChatTemplateError:
            return False
        return read_calls(text)[1] == [(call.name, call.arguments)]

    def _answer_spans(
        self, messages: Sequence[Message], tools: Sequence[Tool], text: str
    ) -> dict[int, tuple[int, int]]:
        """By index in `messages`: where in `text` that answer begins, behind what it was asked, and ends.

        Answers that `text` lays out otherwise than when they were given are left out.
        """
        spans: dict[int, tuple[int, int]] = {}
        done = 0
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prompt = self.render(messages[:index], tools, answer_next=True)
            whole = self.render(messages[: index + 1], tools, answer_next=False)
            if done <= len(prompt) and whole.startswith(prompt) and text.startswith(whole):
                spans[index] = len(prompt), len(whole)
                done = len(whole)
        return spans

    def _encode_pieces(self, text: str, ends: Sequence[int]) -> list[list[int]]:
        """`text`, cut at `ends` and at its end, and each piece tokenised by itself."""
        bounds = pairwise([0, *ends, len(text)])
        return [self._encode(text[start:end]) for start, end in bounds]

    def _encode(self, text: str) -> list[int]:
        # The template writes every special token itself; adding them again would double the first one.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end_of_turn(self) -> frozenset[int]:
        """The special token, if any, with which the template itself closes an answer."""
        question = Message("user", "a")
        before = self.render([question], answer_next=True)
        after = self.render([question, Message("assistant", "b")], answer_next=False)
        closing = self._encode(after[len(before) + 1 :]) if after.startswith(before + "b") else []
        added = self.tokenizer.added_tokens_decoder
        return frozenset(token for token in closing[:1] if token in added and added[token].special)

    def _default_system_block(self) -> tuple[str, str]:
        """The BOS token that stands before a default system block, and how the user's turn behind it opens.

        The latter is empty where the template adds no such block.
        """
        try:
            alone = self.render([Message("system", _MARKER)], answer_next=False)
            given = self.render([Message("system", _MARKER), Message("user", "a")], answer_next=False)
            default = self.render([Message("user", "a")], answer_next=False)
            asked = self.render([Message("user", _MARKER)], answer_next=False)
        except ChatTemplateError:
            return "", ""
        before, _, after = alone.partition(_MARKER)
        turn = given[len(alone) :]
        if not (given.startswith(alone) and default.startswith(before) and default.endswith(after + turn)):
            return "", ""
        bos = self.tokenizer.bos_token or ""
        opening = bos if bos and default.startswith(bos) and not turn.startswith(bos) else ""
        block = default[len(opening) : len(default) - len(turn)]
        first_turn = asked.partition(_MARKER)[0].removeprefix(opening + block)
        return (opening, first_turn) if block and turn.startswith(first_turn) else ("", "")


def _why_untrainable(answer: Message, *, is_last: bool) -> str:
    if not is_last:
        return (
            "the chat template rewrites earlier turns when later ones are added, so only the last answer of "
            "a row can be trained: give the earlier ones weight 0, or rows of their own"
        )
    if "</think>" in answer.content:
        return "this chat template takes thinking apart from the answer: leave <think>...</think> out of it"
    return "the chat template writes an answer otherwise than it opens one, so it cannot be trained as asked"


def _jinja_string(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
