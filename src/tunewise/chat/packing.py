"""Several examples in one row, without padding: what a training step computes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tunewise.chat.template import TokenizedExample


@dataclass(frozen=True, slots=True)
class Pack:
    """Examples laid end to end; T tokens of which N are followed by a trained one."""

    input_ids: Tensor
    """[1, T]. The last token of an example is only ever a target, so it is left out here."""
    position_ids: Tensor
    """[1, T]: starts at 0 with every example."""
    lengths: tuple[int, ...]
    """Tokens of each example in `input_ids`."""
    predicting: Tensor
    """[N]: indices into the T tokens whose prediction carries loss."""
    targets: Tensor
    """[N]: the token each of them has to predict."""

    @property
    def num_tokens(self) -> int:
        """T."""
        return int(self.input_ids.shape[1])


def pack_examples(examples: Sequence[TokenizedExample], device: torch.device | str = "cpu") -> Pack:
    """Lay examples end to end. Each needs at least one trained token, and a token before it."""
    ids: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    targets: list[int] = []
    for example in examples:
        start = len(ids)
        ids += example.ids[:-1]
        positions += range(len(example.ids) - 1)
        for place in range(1, len(example.ids)):
            if example.trained[place]:
                predicting.append(start + place - 1)
                targets.append(example.ids[place])
    return Pack(
        input_ids=torch.tensor([ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        lengths=tuple(len(example.ids) - 1 for example in examples),
        predicting=torch.tensor(predicting, device=device),
        targets=torch.tensor(targets, device=device),
    )


def split_by_tokens(examples: Sequence[TokenizedExample], max_tokens: int) -> list[list[TokenizedExample]]:
    """Cut a batch, in order, into micro-batches of at most `max_tokens` (a longer example stands alone)."""
    batches: list[list[TokenizedExample]] = []
    tokens = 0
    for example in examples:
        if not batches or tokens + len(example.ids) > max_tokens:
            batches.append([])
            tokens = 0
        batches[-1].append(example)
        tokens += len(example.ids)
    return batches
