"""From logits to the next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from tunewise.records import ChatRequest

TOKEN_BLOCK = 64
"""Divides the vocabulary of most models."""


def choose(logits: Tensor, request: ChatRequest, generated: Sequence[int], generator: torch.Generator) -> int:
    """The token that follows `generated`, as `request` wants it chosen from `logits` [vocabulary]."""
    if _adjusts(request):
        logits = adjust(logits, request, generated)
    if request.temperature == 0:
        return int(logits.argmax())
    return sample(logits, request.temperature, request.top_p, generator)


def find_likeliest(logits: Tensor) -> Tensor:
    """The likeliest token of each row of `logits` [n, vocabulary]: argmax, of equals the first.

    On a CPU the rows of many sequences lie column by column, where argmax is slow and a maximum is not: so
    the block of tokens that holds it is found first (`docs/log.md`).
    """
    rows, vocabulary = logits.shape
    if logits.stride(0) != 1 or rows < 2 or vocabulary % TOKEN_BLOCK:
        return logits.argmax(-1)
    blocks = logits.t().view(-1, TOKEN_BLOCK, rows)
    first = blocks.amax(1).argmax(0)
    return first * TOKEN_BLOCK + blocks[first, :, torch.arange(rows)].argmax(1)


def is_plain(request: ChatRequest) -> bool:
    """Whether it takes the likeliest token as it is, which a whole batch is asked at once."""
    return request.temperature == 0 and not _adjusts(request)


def adjust(logits: Tensor, request: ChatRequest, generated: Sequence[int]) -> Tensor:
    """`logits` [vocabulary] plus the biases, less the penalties, as OpenAI defines both.

    A token that was generated c times loses c * frequency_penalty + (c > 0) * presence_penalty. The prompt
    does not count.
    """
    adjusted = logits.to(torch.float32, copy=True)
    for token, bias in request.logit_bias.items():
        adjusted[token] += bias
    counts = Counter(generated)
    if counts:
        tokens = torch.tensor(list(counts), device=logits.device)
        times = torch.tensor(list(counts.values()), device=logits.device)
        adjusted[tokens] -= times * request.frequency_penalty + request.presence_penalty
    return adjusted


def sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Draw a token from `logits` [vocabulary]; `top_p` keeps the likeliest of that mass (1904.09751)."""
    probabilities = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    if top_p < 1:
        # A token stays when the mass before it is short of top_p; so the likeliest always stays.
        ordered = ordered * (ordered.cumsum(0) - ordered < top_p)
    drawn = torch.multinomial(ordered, 1, generator=generator)
    return int(tokens[drawn])


def _adjusts(request: ChatRequest) -> bool:
    return bool(request.presence_penalty or request.frequency_penalty or request.logit_bias)
