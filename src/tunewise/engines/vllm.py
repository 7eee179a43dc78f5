"""An engine over a vLLM server whose adapters are loaded and unloaded while it runs: for GPUs, and for scale.

Either it starts the server itself, or it is given the URL of one that was started with `--enable-lora` and
`VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`. Prompts are rendered and tokenised here (`completions.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from tunewise.engines.answers import QueuedAnswers
from tunewise.engines.completions import CompletionsDialect, read_prompt_logprobs
from tunewise.engines.endpoint import Endpoint
from tunewise.engines.prompts import Prompts
from tunewise.engines.remote_faults import Faults
from tunewise.engines.remote_spec import RemoteSpec
from tunewise.engines.vllm_server import VllmServer
from tunewise.engines.vllm_spec import VllmSpec
from tunewise.errors import EndpointError, ModelUnavailableError, RequestError
from tunewise.models.adapters import adapter_rank, save_zeros_like
from tunewise.models.base import BaseModel
from tunewise.records import ChatRequest, Completion, Message, Tool

MAX_RETRIES = 2
BASE_AS_ADAPTER = "tunewise-base"
"""What the server knows the adapter of zeros by."""
NO_ROUTE = "is it vLLM, started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True?"


class VllmEngine:
    """A base and its adapters on a vLLM server (implements `Engine`). Thread-safe.

    A server of its own runs from the start until `rest` or `close`, and again from the next request on. One
    that ended by itself fails the requests under way; the next one starts it again.
    """

    def __init__(self, base: BaseModel, spec: VllmSpec, *, home: Path, api_key: str | None = None) -> None:
        """Connect to the server, or start one, which takes a minute or more; logs go into `home`.

        The caller answers for it that a server that runs already serves this very base. Raises
        `EndpointError`.
        """
        self.base_id = base.name
        self.precision: str = spec.precision
        self._folder = base.folder
        self._spec = spec
        self._home = home
        self._key = api_key
        self._prompts = _read_prompts(base)
        self._dialect = CompletionsDialect(self._prompts, self._served_name)
        self._adapters: dict[str, Path] = {}
        self._max_rank = spec.max_lora_rank
        self._served_base = base.name
        self._server: VllmServer | None = None
        self._endpoint: Endpoint | None = None
        self._changing = threading.RLock()
        """Held while the server or its adapters change."""
        self._closed = False
        self._connected()

    # What callers use, from any thread.

    def generate(
        self, requests: Sequence[ChatRequest], on_done: Callable[[int], None] | None = None
    ) -> list[Completion]:
        """See `Endpoint`."""
        return self._connected().generate(requests, on_done)

    def check(self, request: ChatRequest) -> None:
        """See `Engine`."""
        self._dialect.body(request)

    def stream(self, *requests: ChatRequest, whole: bool = False) -> QueuedAnswers:
        """See `Endpoint`."""
        return self._connected().stream(*requests, whole=whole)

    def score(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[float]:
        """See `Engine`."""
        example = self._prompts.of(model).encode_scored(messages, tools)
        body = self._dialect.score_body(model, example.ids)

        def read(reply: object) -> list[float]:
            return read_prompt_logprobs(reply, example.ids, sum(example.trained))

        return self._connected().call("post", self._dialect.route, read, body)

    def token_ids(self, model: str, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """See `Engine`."""
        return self._prompts.of(model).encode_scored(messages, tools).ids

    def count_tokens(self, model: str, messages: Sequence[Message]) -> int:
        """See `Engine`."""
        return len(self._prompts.of(model).encode_prompt(messages))

    def count_answer_tokens(self, model: str, answer: str) -> int:
        """See `Engine`."""
        return self._prompts.of(model).count_answer_tokens(answer)

    def load(self, model: str, path: Path) -> None:
        """See `Engine`. The folder's own chat template, where it has one, is the model's.

        A rank beyond the largest so far starts a server of its own again, which fails what is under way.
        """
        rank = adapter_rank(path)
        with self._changing:
            if rank > self._max_rank and self._spec.base_url is None:
                self._disconnect()
                self._max_rank = rank
            self._load(self._connected(), model, path)
            self._prompts.add(model, path)
            self._adapters[model] = path

    def unload(self, model: str) -> None:
        """See `Engine`. Answers under way finish."""
        with self._changing:
            self._prompts.remove(model)
            del self._adapters[model]
            if self._endpoint is not None:
                _unload(self._endpoint, model)

    def models(self) -> list[str]:
        """See `Engine`."""
        return self._prompts.models()

    def rest(self) -> None:
        """See `Engine`: ends its own server, whose threads spin and whose memory training may need."""
        with self._changing:
            if self._spec.base_url is None:
                self._disconnect()

    def close(self) -> None:
        """See `Endpoint`. Its own server is ended; one that ran before keeps the adapters."""
        with self._changing:
            self._disconnect()
            self._closed = True

    # The server.

    def _served_name(self, model: str) -> str:
        return self._served_base if model == self.base_id else model

    def _connected(self) -> Endpoint:
        """The server as it is, or started anew with all adapters where there is none (any more)."""
        with self._changing:
            if self._closed:
                raise RequestError("the engine is closed")
            if self._server is not None and self._server.reason_to_end() is not None:
                self._disconnect()
            if self._endpoint is not None:
                return self._endpoint
            try:
                return self._connect()
            except BaseException:
                self._disconnect()
                raise

    def _connect(self) -> Endpoint:
        url, key = self._spec.base_url, self._key
        if url is None:
            # What training left cached on a GPU is memory that the server asks for.
            torch.cuda.empty_cache()
            spec = self._spec.model_copy(update={"max_lora_rank": self._max_rank})
            self._server = VllmServer(spec, self._folder, self.base_id, self._home / "logs")
            self._server.wait_until_ready(spec.start_timeout_s)
            url, key = self._server.url, self._server.key
        self._endpoint = endpoint = self._open(url, key)
        base = next((card for card in endpoint.models() if card.parent is None), None)
        if base is None:
            raise EndpointError(f"{url} lists no model: {NO_ROUTE}")
        self._served_base = base.id
        self._prompts.limit_context(base.max_model_len)
        for model, path in self._adapters.items():
            self._load(endpoint, model, path)
        return endpoint

    def _open(self, url: str, key: str | None) -> Endpoint:
        spec = RemoteSpec(
            base_url=url,
            model=self.base_id,
            timeout_s=self._spec.timeout_s,
            max_retries=MAX_RETRIES,
            max_concurrency=self._spec.max_concurrency,
        )
        faults = Faults(
            spec,
            key,
            key_setting="TUNEWISE_VLLM_KEY",
            no_route=NO_ROUTE,
            has_ended=self._server.reason_to_end if self._server is not None else lambda: None,
        )
        return Endpoint(spec, self._dialect, faults, api_key=key, direct=self._server is not None)

    def _disconnect(self) -> None:
        """The server first: requests under way then fail, instead of being waited for."""
        if self._server is not None:
            self._server.close()
        if self._endpoint is not None:
            self._endpoint.close()
        self._server = self._endpoint = None

    def _load(self, endpoint: Endpoint, model: str, path: Path) -> None:
        if self._spec.base_as_adapter and self._served_base != BASE_AS_ADAPTER:
            folder = self._home / "cache" / f"{self.base_id}-zeros"
            save_zeros_like(path, folder)
            _load(endpoint, BASE_AS_ADAPTER, folder)
            self._served_base = BASE_AS_ADAPTER
        _load(endpoint, model, path)


def _read_prompts(base: BaseModel) -> Prompts:
    """What is needed of the base on this side. Raises `ModelUnavailableError`."""
    try:
        config = AutoConfig.from_pretrained(base.folder)
        tokenizer = AutoTokenizer.from_pretrained(base.folder)
        has_own = (base.folder / "generation_config.json").is_file()
        generation = (
            GenerationConfig.from_pretrained(base.folder)
            if has_own
            else GenerationConfig.from_model_config(config)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailableError(f"the base model in {base.folder} cannot be read: {reason}") from error
    return Prompts(
        base.name,
        tokenizer,
        generation.eos_token_id,
        max_context=config.max_position_embeddings,
        vocab_size=config.vocab_size,
    )


def _load(endpoint: Endpoint, model: str, path: Path) -> None:
    # Loading again in place would keep what is cached of prompts under the old weights.
    _unload(endpoint, model)
    body = {"lora_name": model, "lora_path": str(path.resolve())}
    try:
        endpoint.call("post", "/load_lora_adapter", str, body)
    except (RequestError, EndpointError) as error:
        if isinstance(error, EndpointError) and error.status is None:
            raise
        raise ModelUnavailableError(f"the adapter in {path} cannot be served: {error}") from error


def _unload(endpoint: Endpoint, model: str) -> None:
    try:
        endpoint.call("post", "/unload_lora_adapter", str, {"lora_name": model})
    except EndpointError as error:
        if error.status != 404:
            raise
