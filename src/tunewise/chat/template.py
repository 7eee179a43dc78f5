"""Messages to tokens, the same way in training, evaluation and serving.

A conversation is tokenised in pieces that end where the model takes over: prompt, answer, prompt,
answer. So the ids of a training example begin with exactly the ids that serving would send as its prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tunewise.chat.tools import describe_message, describe_tool, read_calls, spell_out_tools
from tunewise.errors import RequestError, TunewiseError
from tunewise.records import Message, Tool, ToolCall

TEMPLATE_FILE = "chat_template.jinja"
"""Where `transformers` and PEFT folders carry their template."""


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
        self.tokenizer = tokenizer
        self.source: str = source
        self._knows_tools = "tools" in source and self._writes_calls()
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
        if not self._knows_tools:
            messages, tools = spell_out_tools(messages, tools), ()
        return self._render(messages, tools, answer_next=answer_next)

    def encode_prompt(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The ids to send for `messages`, up to where the assistant's answer begins."""
        if not messages or messages[-1].role == "assistant":
            raise RequestError("the last message must come from the user or a tool", param="messages")
        ids, done = self._encode_answered(messages, tools)
        return ids.ids + self._encode(self._rest(self.render(messages, tools, answer_next=True), done))

    def encode_example(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> TokenizedExample:
        """A training example: loss on each assistant turn of weight 1 and on its end-of-turn token.

        Nothing after the last trained token is kept, since no loss depends on it.
        """
        example, _ = self._encode_answered(messages, tools)
        end = max((i + 1 for i, trained in enumerate(example.trained) if trained), default=0)
        return TokenizedExample(example.ids[:end], example.trained[:end])

    def encode_scored(self, messages: Sequence[Message], answer: str) -> TokenizedExample:
        """The prompt as it is sent, and behind it the answer with its end of turn, all of it predicted."""
        prompt = self.encode_prompt(messages)
        ids = self.encode_example([*messages, Message("assistant", answer)]).ids
        return TokenizedExample(ids, [index >= len(prompt) for index in range(len(ids))])

    def count_answer_tokens(self, answer: str) -> int:
        """How many tokens the model must write to give this answer, its end of turn included."""
        return sum(self.encode_example([Message("user", ""), Message("assistant", answer)]).trained)

    def without_default_system(self) -> str:
        """A template that lays out the same turns, but adds no system block that nobody wrote.

        Many templates put a default system message before a conversation that has none. A model that is
        tuned to need no instructions should not pay for that one either.
        """
        opening, block = self._default_system_block()
        if not block:
            return self.source
        return (
            "{%- set with_default %}" + self.source + "{% endset -%}"
            f"{{%- set default_block = {_jinja_string(opening + block)} -%}}"
            "{%- if messages[0]['role'] != 'system' and with_default.startswith(default_block) -%}"
            f"{{{{- {_jinja_string(opening)} ~ with_default[default_block | length:] -}}}}"
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

    def _encode_answered(
        self, messages: Sequence[Message], tools: Sequence[Tool] = ()
    ) -> tuple[TokenizedExample, str]:
        """Ids up to the end of the last assistant turn, and the text they stand for."""
        ids: list[int] = []
        trained: list[bool] = []
        done = ""
        for index, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prompt = self.render(messages[:index], tools, answer_next=True)
            whole = self.render(messages[: index + 1], tools, answer_next=False)
            before = self._encode(self._rest(prompt, done))
            turn = self._encode(self._rest(whole, prompt))
            end = next((i + 1 for i, token in enumerate(turn) if token in self.stop_ids), None)
            if end is None:
                raise ChatTemplateError("the chat template closes an answer with no end-of-turn token")
            ids += before + turn
            trained += [False] * len(before) + [message.weight == 1] * end + [False] * (len(turn) - end)
            done = whole
        return TokenizedExample(ids, trained), done

    def _rest(self, text: str, done: str) -> str:
        if not text.startswith(done):
            raise ChatTemplateError("the chat template rewrites earlier turns when later ones are added")
        return text[len(done) :]

    def _encode(self, text: str) -> list[int]:
        # The template writes every special token itself; adding them again would double the first one.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _end_of_turn(self) -> frozenset[int]:
        """The special token, if any, with which the template itself closes an answer."""
        question = Message("user", "a")
        before = self.render([question], answer_next=True)
        after = self.render([question, Message("assistant", "b")], answer_next=False)
        closing = self._encode(after[len(before) + 1 :]) if after.startswith(before + "b") else []
        special = set(self.tokenizer.all_special_ids)
        return frozenset(closing[:1]) & special

    def _default_system_block(self) -> tuple[str, str]:
        """What stands before the first turn when no system message is given: the BOS token, and the rest."""
        marker = "\x02tunewise\x03"
        try:
            alone = self.render([Message("system", marker)], answer_next=False)
            given = self.render([Message("system", marker), Message("user", "a")], answer_next=False)
            default = self.render([Message("user", "a")], answer_next=False)
        except ChatTemplateError:
            return "", ""
        before, _, after = alone.partition(marker)
        turn = given[len(alone) :]
        if not (given.startswith(alone) and default.startswith(before) and default.endswith(after + turn)):
            return "", ""
        bos = self.tokenizer.bos_token or ""
        opening = bos if bos and default.startswith(bos) and not turn.startswith(bos) else ""
        return opening, default[len(opening) : len(default) - len(turn)]


def _jinja_string(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
