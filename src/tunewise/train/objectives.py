"""What training minimises: from packed examples to a loss, and the same forward pass for what only asks.

A further objective needs a `summed_loss` of its own; the rest of the loop stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from tunewise.chat.packing import pack_examples, split_by_tokens
from tunewise.chat.template import TokenizedExample
from tunewise.models.attention import PackedLayout
from tunewise.models.flat_decoder import FlatDecoder, Projection, is_flat
from tunewise.train.head import summed_nll, target_logprobs
from tunewise.train.linear import project


def accumulate_gradients(model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int) -> float:
    """Add the gradient of the mean loss per trained token, and return that loss.

    The mean is over all micro-batches together, so cutting a batch differently changes nothing.
    """
    num_trained = sum(sum(example.trained) for example in examples)
    total = 0.0
    for part in split_by_tokens(examples, micro_batch_tokens):
        loss = summed_loss(model, [examples[i] for i in part]) / num_trained
        torch.autograd.backward(loss)
        total += loss.item()
    return total


def mean_loss(model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int) -> float:
    """The mean loss per trained token, in nats."""
    return mean_nll(trained_logprobs(model, examples, micro_batch_tokens))


@torch.no_grad()
def trained_logprobs(
    model: Any, examples: Sequence[TokenizedExample], micro_batch_tokens: int
) -> list[list[float]]:
    """The natural-log probabilities of each example's trained tokens, by the packed forward that trains."""
    rows: dict[int, list[float]] = {}
    for part in split_by_tokens(examples, micro_batch_tokens):
        logprobs = target_logprobs(*predict(model, [examples[i] for i in part]))
        lengths = [sum(examples[i].trained) for i in part]
        rows |= {i: row.tolist() for i, row in zip(part, torch.split(logprobs, lengths), strict=True)}
    return [rows[index] for index in range(len(examples))]


def mean_nll(logprobs: Sequence[Sequence[float]]) -> float:
    """The mean loss that `trained_logprobs` tell of."""
    return -math.fsum(chain.from_iterable(logprobs)) / sum(map(len, logprobs))


def summed_loss(model: Any, examples: Sequence[TokenizedExample]) -> Tensor:
    """The summed negative log-likelihood of the trained tokens."""
    return summed_nll(*predict(model, examples))


def predict(model: Any, examples: Sequence[TokenizedExample]) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Final states [N, hidden], the trained tokens [N] to predict from them, the head's weight and bias."""
    pack = pack_examples(examples, model.device)
    layout = PackedLayout(pack.lengths, model.device, pack.parents)
    # Examples that predict from the same shared token share its final state.
    wanted, rows = torch.unique(pack.predicting, return_inverse=True)
    if is_flat(model):
        decoder = FlatDecoder(model, _join)
        hidden = decoder.forward(pack.input_ids[0], pack.position_ids[0], layout, wanted)
    else:
        output = model.base_model(
            input_ids=pack.input_ids, position_ids=pack.position_ids, use_cache=False, layout=layout
        )
        hidden = output.last_hidden_state[0, wanted]
    head = model.get_output_embeddings()
    return hidden[rows], pack.targets, head.weight, head.bias


def _join(members: Mapping[str, Any]) -> Projection:
    return partial(project, layers=tuple(members.values()))
