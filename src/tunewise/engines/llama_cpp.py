"""llama.cpp inside this process: what others will run an exported GGUF file with, and so what proves it.

Template, tokenizer and arithmetic are llama.cpp's own and come from the file, as whoever loads it gets them.
The package `xllamacpp` brings llama.cpp and its server, which listens on 127.0.0.1 while it is open.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tunewise.chat.template import ChatTemplateError
from tunewise.errors import EndpointError, ModelNotFoundError, ModelUnavailableError, RequestError
from tunewise.records import Message, Tool

_FORCE = 1e9
"""Added to a token's logit, it makes greedy decoding take that token; its reported probability stays."""
_MANY, _ALL = 1000, 2**31 - 1
"""Of the likeliest tokens. All of a vocabulary take a second to write out."""
_TIMEOUT_S = 60


def is_llama_cpp_installed() -> bool:
    """Whether `LlamaCpp` can be opened."""
    return find_spec("xllamacpp") is not None


class LlamaCpp:
    """Answers for one GGUF model, or for it with an adapter file on top (implements `Scorer`).

    `stop_ids` end an answer; `max_context` is the most tokens that prompt and answer may have together. Not
    thread-safe. Raises `ModelUnavailableError` for files that llama.cpp does not load.
    """

    def __init__(
        self, name: str, model: Path, adapter: Path | None, stop_ids: frozenset[int], max_context: int
    ) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        if adapter is not None:
            parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter))]
        parameters.n_ctx = max_context
        parameters.n_parallel = 1
        parameters.n_gpu_layers = 0
        # More threads wait for each other by spinning, which takes many times as long on a busy machine.
        for threads in (parameters.cpuparams, parameters.cpuparams_batch):
            threads.n_threads = 1
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.warmup = False
        parameters.verbosity = -1
        # Otherwise a conversation that ends with an answer is taken for one whose answer is to go on.
        parameters.prefill_assistant = False
        self.name = name
        self.version = f"llama.cpp in xllamacpp {xllamacpp.__version__}"
        self._stop_ids = stop_ids
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError as error:
            files = model.name if adapter is None else f"{model.name} with {adapter.name}"
            raise ModelUnavailableError(f"llama.cpp cannot load {files}") from error
        self._address = urlsplit(self._server.listening_address).netloc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._server

    def token_ids(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """See `Scorer`. Raises `ChatTemplateError` where llama.cpp cannot render the messages."""
        prompt, answer = self._encode(model, messages, tools)
        return prompt + answer

    def score(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[float]:
        """See `Scorer`. Asks for one token at a time: llama.cpp gives no probabilities for a given text."""
        ids, answer = self._encode(model, messages, tools)
        logprobs = []
        for token in answer:
            logprobs.append(self._logprob(ids, token))
            ids = [*ids, token]
        return logprobs

    def answer(self, messages: Sequence[Message], max_tokens: int) -> str:
        """The greedy answer."""
        text = self._complete(self._encode_prompt(messages), max_tokens=max_tokens)["text"]
        return str(text)

    def _encode(
        self, model: str, messages: Sequence[Message], tools: Sequence[Tool]
    ) -> tuple[list[int], list[int]]:
        """The prompt, and behind it the answer up to its end of turn."""
        if model != self.name:
            raise ModelNotFoundError(f"the model {model!r} does not exist")
        if tools:
            raise RequestError("llama.cpp is asked without functions here", param="tools")
        prompt = self._render(messages[:-1], answer_next=True)
        whole = self._render(messages, answer_next=False)
        if not whole.startswith(prompt):
            raise ChatTemplateError("llama.cpp renders a prompt otherwise once it is answered")
        answer = self._tokenize(whole[len(prompt) :], add_special=False)
        end = next((i + 1 for i, token in enumerate(answer) if token in self._stop_ids), len(answer))
        return self._tokenize(prompt, add_special=True), answer[:end]

    def _encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        return self._tokenize(self._render(messages, answer_next=True), add_special=True)

    def _render(self, messages: Sequence[Message], *, answer_next: bool) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            rendered = self._post(
                "/apply-template", {"messages": turns, "add_generation_prompt": answer_next}
            )
        except EndpointError as error:
            raise ChatTemplateError(f"llama.cpp cannot render this conversation: {error}") from error
        return str(rendered["prompt"])

    def _tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """`add_special` as llama.cpp does for a chat's prompt: a BOS token, where the file asks for one."""
        body = {"content": text, "add_special": add_special, "parse_special": True}
        return [int(token) for token in self._post("/tokenize", body)["tokens"]]

    def _logprob(self, ids: Sequence[int], token: int) -> float:
        """Of `token` behind `ids`; NaN where the model gives it none, as one of broken numbers does."""
        told = self._force(ids, token, num_likeliest=1)
        if told is not None:
            return float("nan") if told["id"] != token or told["logprob"] is None else float(told["logprob"])
        # Nothing is told of half a character: it is looked up among the rivals of another token.
        for num_likeliest in (_MANY, _ALL):
            told = self._force(ids, min(self._stop_ids), num_likeliest=num_likeliest)
            for rival in told["top_logprobs"] if told is not None else ():
                if rival["id"] == token and rival["logprob"] is not None:
                    return float(rival["logprob"])
        return float("nan")

    def _force(self, ids: Sequence[int], token: int, *, num_likeliest: int) -> Any:
        """What llama.cpp tells of `token` when it is made to take it, or None."""
        bias = [[token, _FORCE]]
        logprobs = self._complete(ids, max_tokens=1, logit_bias=bias, n_probs=num_likeliest)["logprobs"]
        return logprobs["content"][0] if logprobs else None

    def _complete(self, ids: Sequence[int], *, max_tokens: int, **options: Any) -> Any:
        reply = self._server.handle_completions(
            {"prompt": list(ids), "max_tokens": max_tokens, "temperature": 0, **options}
        )
        if "choices" not in reply:
            raise EndpointError(f"llama.cpp gives no answer: {json.dumps(reply)[:200]}")
        return reply["choices"][0]

    def _post(self, path: str, body: object) -> Any:
        with closing(http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)) as connection:
            try:
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
                response = connection.getresponse()
                status, content = response.status, response.read()
            except OSError as error:
                raise EndpointError(f"llama.cpp does not answer {path}: {error}") from error
        if status != http.client.OK:
            raise EndpointError(f"{path} answers {status}: {content[:200].decode(errors='replace')}")
        return json.loads(content)
