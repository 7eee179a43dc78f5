"""What training minimises: from packed examples to a loss, and the same forward pass for what only asks.

A further objective needs a `summed_loss` of its own; the rest of the loop stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tunewise.chat.packing import pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample
from tunewise.models.attention import PackedLayout


def accumulate_gradients(model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int) -> float:
    """Add the gradient of the mean loss per trained token, and return that loss.

    The mean is over all micro-batches together, so cutting a batch differently changes nothing.
    """
    num_trained = sum(sum(example.trained) for example in examples)
    total = 0.0
    for micro_batch in split_by_tokens(examples, micro_batch_tokens):
        loss = summed_loss(model, micro_batch) / num_trained
        torch.autograd.backward(loss)
        total += loss.item()
    return total


@torch.no_grad()
def mean_loss(model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int) -> float:
    """The mean loss per trained token, in nats."""
    num_trained = sum(sum(example.trained) for example in examples)
    batches = split_by_tokens(examples, micro_batch_tokens)
    return sum(summed_loss(model, batch).item() for batch in batches) / num_trained


@torch.no_grad()
def trained_logprobs(
    model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int
) -> list[list[float]]:
    """The natural-log probabilities of each example's trained tokens, by the packed forward that trains."""
    rows: list[list[float]] = []
    for batch in split_by_tokens(examples, micro_batch_tokens):
        logprobs = -F.cross_entropy(*predict(model, batch), reduction="none")
        lengths = [sum(example.trained) for example in batch]
        rows += [row.tolist() for row in torch.split(logprobs, lengths)]
    return rows


def summed_loss(model: Any, examples: Sequence[TokenizedExample]) -> Tensor:
    """The summed negative log-likelihood of the trained tokens."""
    return F.cross_entropy(*predict(model, examples), reduction="sum")


def predict(model: Any, examples: Sequence[TokenizedExample]) -> tuple[Tensor, Tensor]:
    """The logits [N, vocabulary] and targets [N] of the trained tokens; the head runs on those only."""
    pack = pack_examples(examples, model.device)
    layout = PackedLayout(pack.lengths, model.device)
    hidden = model.base_model(
        input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False, layout=layout
    ).last_hidden_state
    logits = model.get_output_embeddings()(hidden[0, pack.predicting])
    return logits.float(), pack.targets
