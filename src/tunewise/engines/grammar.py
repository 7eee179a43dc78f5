"""Answers that have to follow a grammar: which tokens may come next, by llguidance.

The grammar of an answer that may or must call functions is made here too: calls are written as
`chat/tools.py` reads them, and their arguments follow the functions' own schemas.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.hf import from_tokenizer
from torch import Tensor

from tunewise.chat.tools import BEFORE_ARGUMENTS, BEFORE_NAME, CLOSING, OPENING
from tunewise.errors import RequestError
from tunewise.records import ChatRequest, Grammar

WHITESPACE = r" |\n {0,24}"
"""Between the tokens of JSON: a space, or a new line and its indentation, or nothing. With no such bound, a
weak model that may always write one more space does so until its answer is cut."""
MAX_COMPILED = 64
"""Grammars that are kept. One takes about a millisecond to compile, and a few more at its first token."""


class Matcher:
    """How far one answer has come in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self, logits: Tensor) -> Tensor:
        """Set `logits` [vocabulary] to minus infinity, in place, for every token that cannot come next."""
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        return logits.masked_fill_(allowed[: len(logits)].to(logits.device) == 0, -torch.inf)

    def consume(self, token: int) -> str | None:
        """Go on by a token that `mask` left. Where a grammar is too hard to follow, say what went wrong."""
        return None if self._matcher.consume_token(token) else _one_line(self._matcher.get_error())

    @property
    def is_over(self) -> bool:
        """Whether the answer is whole and cannot go on."""
        return self._matcher.is_stopped()


class Grammars:
    """Compiles what requests hold their answers to, for one tokenizer. Thread-safe."""

    def __init__(self, tokenizer: Any, vocab_size: int) -> None:
        """`vocab_size` is the width of the logits, which may be more than the tokenizer has tokens."""
        self._tokenizer = tokenizer
        self._vocab_size = max(vocab_size, len(tokenizer))
        added = tokenizer.added_tokens_decoder.items()
        self._own_tokens = {token.content: id for id, token in added if not token.special}
        """Tags that the tokenizer has as tokens, such as `<think>`: what they spell never stands for them."""
        self._load = lru_cache(self._load_tokenizer)
        self._compile = lru_cache(MAX_COMPILED)(self._compile_source)

    def matcher(self, request: ChatRequest, stop_ids: frozenset[int]) -> Matcher | None:
        """At the beginning of the request's grammar, if it has any; `stop_ids` are what may end its answer.

        Raises `RequestError` with what is wrong with a schema.
        """
        parts = self._parts(request)
        if not parts:
            return None
        compiled = self._compile(json.dumps({"grammars": parts}), stop_ids)
        if compiled.is_error():
            raise _explain(request, parts, compiled.get_error())
        return Matcher(compiled.deep_copy())

    def _parts(self, request: ChatRequest) -> list[dict[str, Any]]:
        """As llguidance takes them: the first is where it starts, the others are what that refers to."""
        answer = [] if request.grammar is None else [_part("answer", request.grammar)]
        names = [tool.name for tool in request.tools]
        for name in request.must_call:
            if name not in names:
                raise RequestError(f"there is no function {name!r} among the tools", param="tool_choice")
        if not names:
            return answer
        arguments = [
            _part(f"arguments_{index}", Grammar("json_schema", tool.parameters), type="object")
            for index, tool in enumerate(request.tools)
        ]
        return [{"lark_grammar": self._lark_of_calls(request)}, *answer, *arguments]

    def _lark_of_calls(self, request: ChatRequest) -> str:
        """Calls and nothing else, or the answer and nothing else, or a text that calls may follow."""
        opening, closing = self._spell(OPENING), self._spell(CLOSING)
        callable_names = request.must_call or [tool.name for tool in request.tools]
        functions = [
            f'{json.dumps(f"{BEFORE_NAME}{tool.name}{BEFORE_ARGUMENTS}")} @arguments_{index} "}}"'
            for index, tool in enumerate(request.tools)
            if tool.name in callable_names
        ]
        call = f'call: "\\n" ({" | ".join(functions)}) "\\n" {closing}'
        more = f' ("\\n" {opening} call)*' if request.parallel_tool_calls else ""
        if request.must_call:
            return f"start: {opening} call{more}\n{call}"
        if request.grammar is not None:
            return f"start: @answer | {opening} call{more}\n{call}"
        # Lazy: the text ends with the first tag. A tag that is a token of its own is no text anyway.
        head = f"head{'' if OPENING in self._own_tokens else '[lazy]'}: TEXT {opening}"
        lines = [f"(TEXT | head call{more})", call, head, "TEXT: /(?s:.*)/"]
        tags = ",".join(str(token) for tag, token in self._own_tokens.items() if tag != OPENING)
        if tags:
            lines = [f"tag* {lines[0]}", f"tag: TEXT <[{tags}]>", *lines[1:]]
        return "start: " + "\n".join(lines)

    def _spell(self, tag: str) -> str:
        """A tag in Lark: by its id where the tokenizer has it as a token, which no spelling matches."""
        token = self._own_tokens.get(tag)
        return json.dumps(tag) if token is None else f"<[{token}]>"

    def _load_tokenizer(self, stop_ids: frozenset[int]) -> LLTokenizer:
        try:
            return from_tokenizer(self._tokenizer, self._vocab_size, sorted(stop_ids))
        except ValueError as error:
            reason = _one_line(str(error))
            raise RequestError(f"this model's tokenizer cannot be held to a grammar: {reason}") from error

    def _compile_source(self, source: str, stop_ids: frozenset[int]) -> LLMatcher:
        # Errors would have the whole grammar and the answer so far in them.
        limits = LLParserLimits(verbose_errors=False)
        return LLMatcher(self._load(stop_ids), source, log_level=0, limits=limits)


def _part(name: str, grammar: Grammar, **implied: str) -> dict[str, Any]:
    if grammar.kind == "lark":
        return {"name": name, "lark_grammar": grammar.source}
    schema = implied | json.loads(grammar.source) | {"x-guidance": {"whitespace_pattern": WHITESPACE}}
    return {"name": name, "json_schema": schema}


def _explain(request: ChatRequest, parts: list[dict[str, Any]], problem: str) -> RequestError:
    """Which schema is to blame."""
    broken = {
        part["name"]: error
        for part in parts
        if "json_schema" in part and (error := LLMatcher.validate_grammar(json.dumps({"grammars": [part]})))
    }
    for index, tool in enumerate(request.tools):
        if (name := f"arguments_{index}") in broken:
            reason = _one_line(broken[name])
            return RequestError(
                f"no call of {tool.name!r} can be held to its schema: {reason}", param="tools"
            )
    param = "response_format" if request.grammar is not None else "tools"
    reason = _one_line(broken.get("answer", problem))
    return RequestError(f"no answer can be held to this schema: {reason}", param=param)


def _one_line(text: str) -> str:
    return " ".join(text.split())
