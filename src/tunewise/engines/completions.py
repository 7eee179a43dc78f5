"""vLLM's completions route: token ids in, text out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from tunewise.chat.template import ChatTemplate
from tunewise.engines.endpoint import Piece, Received, Usage, sampling_fields
from tunewise.engines.logprobs import AnswerLogprobs, TokenSpelling
from tunewise.engines.prompts import Prompts
from tunewise.records import ChatRequest, TokenLogprob


class CompletionsDialect:
    """Prompts that are rendered and tokenised here (implements `Dialect`).

    So each model has its own chat template, of which a vLLM server has only one, and no token is added.
    `served_name` is the id that the server knows a model by.
    """

    route = "/completions"

    def __init__(self, prompts: Prompts, served_name: Callable[[str], str]) -> None:
        self._prompts = prompts
        self._spelling = TokenSpelling(prompts.tokenizer)
        self._served_name = served_name

    def body(self, request: ChatRequest) -> dict[str, Any]:
        """See `Dialect`."""
        fields = sampling_fields(request)
        prompt = self._prompts.encode(request)
        fields |= {
            "model": self._served_name(request.model),
            "prompt": prompt,
            "max_tokens": self._prompts.longest_answer(request, len(prompt)),
            "stop_token_ids": sorted(self._prompts.of(request.model).stop_ids),
            "skip_special_tokens": True,
            # The model's own generation config may say otherwise, and the server may follow it.
            "top_k": 0,
            "min_p": 0,
            "repetition_penalty": 1,
        }
        if request.seed is not None:
            fields["seed"] = request.seed % 2**63  # To vLLM, -1 is no seed.
        if request.top_logprobs is not None:
            fields |= {"logprobs": request.top_logprobs, "return_tokens_as_token_ids": True}
        return fields

    def reader(self, request: ChatRequest) -> CompletionReader:
        """See `Dialect`."""
        return CompletionReader(request, self._prompts.of(request.model), self._spelling)

    def score_body(self, model: str, ids: list[int]) -> dict[str, Any]:
        """What to send for the probabilities of `ids`."""
        # One token has to be written, and none but the prompt's own are to be reported.
        return {
            "model": self._served_name(model),
            "prompt": ids,
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }


class CompletionReader:
    """Reads one answer (implements `Reader`)."""

    def __init__(self, request: ChatRequest, template: ChatTemplate, spelling: TokenSpelling) -> None:
        self._num_top = request.top_logprobs
        self._template = template
        self._spelling = spelling
        self._ids: list[int] = []
        self._text = ""
        self._logprobs = AnswerLogprobs()

    def reply(self, raw: object) -> Piece:
        """See `Reader`."""
        reply = _Reply.model_validate(raw)
        return self._piece(reply.choices[0], reply.usage)

    def chunk(self, raw: object) -> Piece:
        """See `Reader`."""
        chunk = _Chunk.model_validate(raw)
        return self._piece(chunk.choices[0], chunk.usage) if chunk.choices else Piece(usage=chunk.usage)

    def _piece(self, choice: _Choice, usage: Usage | None) -> Piece:
        """Its text, and the tokens that begin there: the server may hold text back, but not its tokens."""
        self._text += choice.text
        if choice.logprobs is not None:
            self._add(choice.logprobs)
        if isinstance(choice.stop_reason, str):
            self._logprobs.cut(self._text)
        logprobs = self._logprobs.take(None if choice.finish_reason else self._text)
        return Piece(choice.text, logprobs, choice.finish_reason, usage)

    def _add(self, logprobs: _Logprobs) -> None:
        rows = zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True)
        for name, logprob, top in rows:
            token = _token_id(name)
            if token in self._template.stop_ids:
                return
            self._ids.append(token)
            text = self._template.tokenizer.decode(self._ids, skip_special_tokens=True)
            # Where it is not among the likeliest, the token itself comes on top of them.
            likeliest = sorted(top.items(), key=lambda item: -item[1])[: self._num_top]
            alternatives = tuple(self._record(_token_id(other), value) for other, value in likeliest)
            self._logprobs.add(self._record(token, logprob, alternatives), text)

    def _record(self, token: int, logprob: float, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
        return TokenLogprob(self._spelling.bytes_of(token), logprob, top)


def read_prompt_logprobs(raw: object, ids: list[int], num_scored: int) -> list[float]:
    """Of a reply to `score_body`: the log-probabilities of the last `num_scored` of `ids`."""
    entries = _ScoredReply.model_validate(raw).choices[0].prompt_logprobs
    if len(entries) != len(ids):
        raise ValueError(f"{len(entries)} tokens came back instead of {len(ids)}")
    scored = list(zip(ids, entries, strict=True))[len(ids) - num_scored :]
    return [(entry or {})[token].logprob for token, entry in scored]


def _token_id(name: str) -> int:
    return int(name.removeprefix("token_id:"))


class _Logprobs(Received):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]


class _Choice(Received):
    text: str
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    """The stop string or the token that ended it, where it was not the end of text."""


class _Reply(Received):
    choices: list[_Choice] = Field(min_length=1)
    usage: Usage | None = None


class _Chunk(Received):
    choices: list[_Choice]
    usage: Usage | None = None


class _PromptLogprob(Received):
    logprob: float


class _Scored(Received):
    prompt_logprobs: list[dict[int, _PromptLogprob] | None]


class _ScoredReply(Received):
    choices: list[_Scored] = Field(min_length=1)
