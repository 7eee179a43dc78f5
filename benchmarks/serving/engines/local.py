"""tunewise's own engine, through its public protocol."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch.profiler

from serving.worker import Prompt, Turn, answer_calls
from tunewise.engines import open_engine
from tunewise.records import ChatRequest, Message

NEVER = -100.0
"""The logit bias that, as OpenAI defines it, bans a token."""
PROFILE_ROWS = 30


class Local:
    def __init__(self, folder: str, *stop_ids: str) -> None:
        self._engine = open_engine(folder)
        self._no_end = {int(token): NEVER for token in stop_ids}

    def write(self, prompts: list[Prompt], tokens: int, models: list[str] | None = None) -> Turn:
        """Stream i is answered by the i-th of `models`, from the first again where they are fewer."""
        models = models or [self._engine.base_id]
        requests = [
            ChatRequest(models[i % len(models)], _messages(prompt), tokens, logit_bias=self._no_end)
            for i, prompt in enumerate(prompts)
        ]
        first: dict[int, float] = {}
        written = 0
        started = time.perf_counter()
        for delta in self._engine.stream(*requests):
            first.setdefault(delta.index, time.perf_counter() - started)
            if delta.completion is not None:
                written += delta.completion.output_tokens
        return Turn(time.perf_counter() - started, written, list(first.values()))

    def answer(self, prompts: list[Prompt], max_tokens: int) -> Turn:
        """All prompts queued at once; every answer ends by itself."""
        requests = [ChatRequest(self._engine.base_id, _messages(prompt), max_tokens) for prompt in prompts]
        started = time.perf_counter()
        completions = self._engine.generate(requests)
        seconds = time.perf_counter() - started
        written = sum(completion.output_tokens for completion in completions)
        return Turn(seconds, written, [], [completion.text for completion in completions])

    def load(self, model: str, path: str) -> None:
        self._engine.load(model, Path(path))

    def profile(self, prompts: list[Prompt], tokens: int) -> str:
        """The table of the operations that take the most time."""
        with torch.profiler.profile() as profiler:
            self.write(prompts, tokens)
        return str(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=PROFILE_ROWS))


def _messages(prompt: Prompt) -> tuple[Message, ...]:
    return tuple(Message(role, content) for role, content in prompt.messages)


if __name__ == "__main__":
    answer_calls(Local, *sys.argv[1:])
