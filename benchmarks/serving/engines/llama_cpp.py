"""llama.cpp's server in process, on an F16 file of the same weights, with a slot for every stream."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import xllamacpp

from serving.worker import Prompt, Turn, answer_calls

WARM_UP_TOKENS = 16


class LlamaCpp:
    def __init__(self, file: str, num_threads: str) -> None:
        self._file = file
        self._num_threads = int(num_threads)

    def write(self, prompts: list[Prompt], tokens: int) -> Turn:
        """Ask a fresh server, which has answered one short prompt before the clock starts."""
        length = max(len(prompt.ids) for prompt in prompts) + tokens
        # On a thread that ends: loading computes too, and would leave a pool that slows the server's own.
        with ThreadPoolExecutor(1) as loading:
            server = loading.submit(self._open, len(prompts), length).result()
        _stream(server, tokens=2, ids=prompts[0].ids[:WARM_UP_TOKENS])
        with ThreadPoolExecutor(len(prompts)) as clients:
            started = time.perf_counter()
            streams = list(clients.map(partial(_stream, server, tokens), [prompt.ids for prompt in prompts]))
            seconds = time.perf_counter() - started
        return Turn(seconds, sum(written for written, _ in streams), [at - started for _, at in streams])

    def _open(self, slots: int, length: int) -> Any:
        params = xllamacpp.CommonParams()
        params.model.path = self._file
        params.n_parallel = slots
        params.n_ctx = slots * length
        params.cpuparams.n_threads = self._num_threads
        params.cpuparams_batch.n_threads = self._num_threads
        params.n_gpu_layers = 0
        params.verbosity = -1
        return xllamacpp.Server(params)


def _stream(server: Any, tokens: int, ids: list[int]) -> tuple[int, float]:
    """(tokens written, when the first was there)."""
    arrivals: list[float] = []
    last: dict[str, Any] = {}

    def take(chunk: dict[str, Any]) -> None:
        arrivals.append(time.perf_counter())
        last.update(chunk)

    server.handle_completions(
        {"prompt": ids, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}, take
    )
    num_written: int = last["usage"]["completion_tokens"]
    return num_written, arrivals[0]


if __name__ == "__main__":
    answer_calls(LlamaCpp, *sys.argv[1:])
