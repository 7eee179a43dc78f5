"""`generate` of transformers: one left-padded batch in fp32, with its defaults for everything else."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.generation.streamers import BaseStreamer

from serving.worker import Prompt, Turn, answer_calls


class _FirstToken(BaseStreamer):  # type: ignore[misc]
    """Notes when the first token of the batch is there; what is put before that is the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        del value
        if len(self.times) < 2:
            self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


class TransformersGenerate:
    def __init__(self, folder: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._eos = self._model.generation_config.eos_token_id

    def write(self, prompts: list[Prompt], tokens: int) -> Turn:
        """Answer all prompts as one batch."""
        self._model.generation_config.eos_token_id = None
        streamer = _FirstToken()
        started = time.perf_counter()
        written = self._generate(prompts, tokens, streamer)
        seconds = time.perf_counter() - started
        return Turn(seconds, written.numel(), [streamer.times[1] - started] * len(prompts))

    def answer(self, prompts: list[Prompt], max_tokens: int, batch: int) -> Turn:
        """In batches of prompts of similar length, so that little is padded; every answer ends by itself."""
        self._model.generation_config.eos_token_id = self._eos
        answers, num_written = [""] * len(prompts), 0
        started = time.perf_counter()
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids))
        for first in range(0, len(order), batch):
            indices = order[first : first + batch]
            written = self._generate([prompts[i] for i in indices], max_tokens)
            num_written += int((written != self._tokenizer.pad_token_id).sum())
            texts = self._tokenizer.batch_decode(written, skip_special_tokens=True)
            for index, text in zip(indices, texts, strict=True):
                answers[index] = text
        return Turn(time.perf_counter() - started, num_written, [], answers)

    def _generate(self, prompts: list[Prompt], tokens: int, streamer: BaseStreamer | None = None) -> Any:
        """Token ids [prompts, new tokens]."""
        batch = self._tokenizer.pad({"input_ids": [prompt.ids for prompt in prompts]}, return_tensors="pt")
        with torch.inference_mode():
            ids = self._model.generate(**batch, max_new_tokens=tokens, do_sample=False, streamer=streamer)
        return ids[:, batch["input_ids"].shape[1] :]


if __name__ == "__main__":
    answer_calls(TransformersGenerate, *sys.argv[1:])
