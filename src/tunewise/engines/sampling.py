"""From logits to the next token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from tunewise.engines.grammar import Matcher
from tunewise.records import ChatRequest


def choose(
    logits: Tensor,
    request: ChatRequest,
    generated: Sequence[int],
    generator: torch.Generator,
    matcher: Matcher | None = None,
) -> int:
    """The token that follows `generated`, as `request` wants it chosen from `logits` [vocabulary].

    With a `matcher`, it is one that the grammar allows.
    """
    if matcher is not None:
        logits = matcher.mask(logits)
    if _adjusts(request):
        logits = adjust(logits, request, generated)
    if request.temperature == 0:
        return int(logits.argmax())
    return sample(logits, request.temperature, request.top_p, generator)


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
