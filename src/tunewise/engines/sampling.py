"""From logits to the next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as SequenceOf

import torch
from torch import Tensor

from tunewise.engines.sequence import Sequence
from tunewise.records import ChatRequest

TOKEN_BLOCK = 64
"""Divides the vocabulary of most models."""


def choose_tokens(logits: Tensor, asked: SequenceOf[Sequence]) -> list[int]:
    """The token that each sequence goes on with, as its request wants it chosen from its row of `logits`.

    `logits` is [n, vocabulary] for n sequences. Most take the likeliest, which the whole batch is asked at
    once; only the rows of the others are looked at one by one.
    """
    tokens: list[int] = find_likeliest(logits).tolist()
    others = [row for row, sequence in enumerate(asked) if not sequence.is_plain]
    if not others:
        return tokens
    rows = logits[others].to(torch.float32).contiguous()
    for row, index in zip(rows, others, strict=True):
        sequence = asked[index]
        if sequence.matcher is not None:
            sequence.matcher.mask(row)
        adjust(row, sequence.request, sequence.generated)
    likeliest: list[int] = rows.argmax(-1).tolist()
    for row, token, index in zip(rows, likeliest, others, strict=True):
        sequence = asked[index]
        if sequence.request.temperature:
            token = sample(row, sequence.request, sequence.generator)
        tokens[index] = token
    return tokens


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


def adjust(logits: Tensor, request: ChatRequest, generated: SequenceOf[int]) -> None:
    """Add the biases to `logits` [vocabulary], less the penalties, as OpenAI defines both, in place.

    A token that was generated c times loses c * frequency_penalty + (c > 0) * presence_penalty. The prompt
    does not count.
    """
    for token, bias in request.logit_bias.items():
        logits[token] += bias
    if generated and (request.presence_penalty or request.frequency_penalty):
        counts = Counter(generated)
        tokens = torch.tensor(list(counts), device=logits.device)
        times = torch.tensor(list(counts.values()), device=logits.device)
        logits[tokens] -= times * request.frequency_penalty + request.presence_penalty


def sample(logits: Tensor, request: ChatRequest, generator: torch.Generator) -> int:
    """Draw a token from `logits` [vocabulary]; `top_p` keeps the likeliest of that mass (1904.09751)."""
    probabilities = torch.softmax(logits.cpu() / request.temperature, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    if request.top_p < 1:
        # A token stays when the mass before it is short of top_p; so the likeliest always stays.
        ordered = ordered * (ordered.cumsum(0) - ordered < request.top_p)
    drawn = torch.multinomial(ordered, 1, generator=generator)
    return int(tokens[drawn])
