"""From logits to the next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence as SequenceOf

import torch
from torch import Tensor

from tunewise.engines.sequence import Sequence
from tunewise.records import ChatRequest

LOWEST_TEMPERATURE = 1e-6
"""Below it, a sample is the likeliest token anyway."""


def choose_tokens(logits: Tensor, asked: SequenceOf[Sequence]) -> list[int]:
    """The token that each sequence goes on with, as its request wants it chosen from its row of `logits`.

    `logits` is [n, vocabulary] for n sequences. Most take the likeliest, which the whole batch is asked at
    once; only the rows of the others are looked at one by one.
    """
    tokens: list[int] = logits.argmax(-1).tolist()
    others = [
        row
        for row, (sequence, token) in enumerate(zip(asked, tokens, strict=True))
        if not sequence.takes_likeliest(token)
    ]
    if not others:
        return tokens
    rows = logits[others].to(torch.float32)
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
    # Measured from the largest, so that no temperature above zero, however low, is too much for a float.
    scaled = (logits - logits.max()).cpu() / max(request.temperature, LOWEST_TEMPERATURE)
    probabilities = torch.softmax(scaled, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    if request.top_p < 1:
        # A token stays when the mass before it is short of top_p; so the likeliest always stays.
        ordered = ordered * (ordered.cumsum(0) - ordered < request.top_p)
    drawn = torch.multinomial(ordered, 1, generator=generator)
    return int(tokens[drawn])
