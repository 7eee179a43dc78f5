"""What `"auto"` stands for in a training's spec: rules with their sources, in numbers alone."""

from __future__ import annotations

import math
from typing import Literal

TuningName = Literal["lora", "full", "scratch"]

AUTO_RANK = 16
"""LoRA keeps up with full fine-tuning as long as the adapter holds what the data say, and a few hundred to a
few thousand short answers are far below what rank 16 on all linear layers holds ("LoRA Without Regret",
Schulman et al. 2025)."""
AUTO_SCALE = 2.0
"""Of the update at `AUTO_RANK`: alpha is twice the rank, as most recipes have it. To tune it beside the
learning rate would be to tune the same thing twice (Hu et al. 2021, section 4.1)."""
AUTO_LEARNING_RATES: dict[TuningName, float] = {"lora": 2e-3, "full": 2e-4, "scratch": 6e-4}
"""LoRA wants about ten times the rate of full fine-tuning (Schulman et al. 2025), measured for LoRA on the
embedded model (`docs/log.md`). Random weights of that size: 6e-4 (Brown et al. 2020, table 2.1)."""
AUTO_BATCH_SIZE = 8
"""LoRA loses to full fine-tuning as batches grow, whatever its rank (Schulman et al. 2025)."""
AUTO_EXAMPLES = 1600
"""Example passes that taught the embedded model the form of the bundled data, with its instruction and
without (`docs/log.md`)."""
MAX_AUTO_EPOCHS = 10
"""Beyond this few examples are learned by heart rather than learned from."""


def auto_epochs(num_examples: int) -> int:
    """As many as make `AUTO_EXAMPLES` example passes, within 1..10."""
    return min(max(math.ceil(AUTO_EXAMPLES / num_examples), 1), MAX_AUTO_EPOCHS)


def auto_alpha(rank: int, *, rslora: bool) -> float:
    """The alpha that scales the update by 2, at any rank; with rsLoRA only at `AUTO_RANK`.

    Plain LoRA divides alpha by the rank, rsLoRA by its root, so that there larger ranks add more
    (Kalajdzievski 2023).
    """
    return AUTO_SCALE * (math.sqrt(AUTO_RANK) if rslora else rank)
