"""vLLM on the CPU, through its offline engine: no HTTP server between, as with the other engines.

Runs in vLLM's own environment, so it imports nothing else that is not in the standard library.
"""

from __future__ import annotations

import sys
import time

from vllm import LLM, SamplingParams
from vllm.sampling_params import RequestOutputKind

from serving.worker import Prompt, Turn, answer_calls

CONTEXT = 2048
CACHE_BYTES = 2 * 2**30


class VllmCpu:
    def __init__(self, folder: str) -> None:
        llm = LLM(folder, dtype="float32", max_model_len=CONTEXT, kv_cache_memory_bytes=CACHE_BYTES)
        self._engine = llm.llm_engine
        self._turns = 0

    def write(self, prompts: list[Prompt], tokens: int) -> Turn:
        """Add all prompts, then step until every stream is written."""
        self._turns += 1
        params = SamplingParams(
            temperature=0, max_tokens=tokens, ignore_eos=True, output_kind=RequestOutputKind.DELTA
        )
        first: dict[str, float] = {}
        written = 0
        started = time.perf_counter()
        for index, prompt in enumerate(prompts):
            self._engine.add_request(f"{self._turns}.{index}", {"prompt_token_ids": prompt.ids}, params)
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                first.setdefault(output.request_id, time.perf_counter() - started)
                written += len(output.outputs[0].token_ids)
        return Turn(time.perf_counter() - started, written, list(first.values()))


if __name__ == "__main__":
    answer_calls(VllmCpu, *sys.argv[1:])
