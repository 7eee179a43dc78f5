"""Less at once where memory does not suffice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from tunewise.chat.template import TokenizedExample
from tunewise.errors import TrainingError

T = TypeVar("T")

_SAID_ON_A_CPU = ("can't allocate memory", "not enough memory", "MPS backend out of memory")


def compute_within_memory(
    compute: Callable[[int], T], examples: Sequence[TokenizedExample], micro_batch_tokens: int
) -> tuple[T, int]:
    """`compute(micro_batch_tokens)`, done again with half as many each time that memory is too small.

    Returns its result and how many it took. Raises `TrainingError` where not even one example fits.
    """
    while True:
        try:
            return compute(micro_batch_tokens), micro_batch_tokens
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            longest = max(len(example.ids) for example in examples)
            if micro_batch_tokens <= min(len(example.ids) for example in examples):
                raise TrainingError(
                    f"there is not enough memory for one example ({longest} tokens): remove the longest ones "
                    "(--max-tokens finds them), or train a smaller base"
                ) from error
        # Out of the handler, so that the error no longer holds on to what was computed.
        micro_batch_tokens = max(micro_batch_tokens // 2, 1)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(text in str(error) for text in _SAID_ON_A_CPU)
