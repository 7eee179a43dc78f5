"""What bounds decoding: the model's linear layers alone, one after the other, with its own weights."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from serving.worker import answer_calls

PASSES = 5

Product = Callable[[Tensor, Tensor], Tensor]


class LinearLayers:
    def __init__(self, folder: str) -> None:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._weights = [m.weight.detach() for m in model.modules() if isinstance(m, nn.Linear)]

    def seconds(self, rows: int) -> float:
        """One pass over all layers and the head for `rows` tokens, by the faster of two ways to multiply."""
        inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1]) for weight in self._weights}
        forms: list[Product] = [F.linear, lambda x, weight: weight @ x.t()]
        return min(statistics.median(self._time(form, inputs) for _ in range(PASSES)) for form in forms)

    @torch.inference_mode()
    def _time(self, form: Product, inputs: dict[int, Tensor]) -> float:
        started = time.perf_counter()
        for weight in self._weights:
            form(inputs[weight.shape[1]], weight)
        return time.perf_counter() - started


if __name__ == "__main__":
    answer_calls(LinearLayers, *sys.argv[1:])
