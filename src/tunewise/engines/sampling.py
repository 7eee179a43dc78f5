"""From logits to the next token."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Draw a token from `logits` [vocabulary]; `top_p` keeps the likeliest of that mass (1904.09751)."""
    probabilities = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    ordered, tokens = probabilities.sort(descending=True, stable=True)
    if top_p < 1:
        # A token stays when the mass before it is short of top_p; so the likeliest always stays.
        ordered = ordered * (ordered.cumsum(0) - ordered < top_p)
    drawn = torch.multinomial(ordered, 1, generator=generator)
    return int(tokens[drawn])
