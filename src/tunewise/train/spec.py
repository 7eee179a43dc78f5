"""What a training run is asked to do."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

AUTO_EXAMPLES = 800
"""Example passes that taught the embedded model the form of the bundled data (`docs/log.md`)."""
MAX_AUTO_EPOCHS = 10
"""Beyond this few examples are learned by heart rather than learned from."""


class TrainSpec(BaseModel):
    """LoRA fine-tuning, validated when built; the same spec, data and base give the same adapter bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(16, ge=1, le=512)
    """LoRA rank (Hu et al. 2021): the adapter's capacity."""
    alpha: float = Field(32.0, gt=0)
    """LoRA's scale is alpha / rank."""
    learning_rate: float = Field(2e-3, gt=0)
    """Peak rate. LoRA wants about ten times the rate of full fine-tuning (Schulman et al. 2025)."""
    epochs: int | None = Field(None, ge=1, le=50)
    """Passes over the training examples; None leaves it to `num_epochs`."""
    batch_size: int = Field(8, ge=1, le=1024)
    """Examples per optimiser step, however many micro-batches they are computed in."""
    warmup_share: float = Field(0.05, ge=0, le=1)
    """Share of the steps in which the rate climbs linearly from 0; it then falls linearly to 0."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's decoupled weight decay (Loshchilov & Hutter 2017)."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""
    max_tokens: int = Field(2048, ge=1)
    """The longest example that is trained on; a longer one is unusable, never cut."""
    unusable_rows: Literal["refuse", "drop"] = "refuse"
    """What becomes of rows that are too long, have nothing to train or do not fit the chat template."""
    instruction_share: float = Field(0.25, ge=0, le=1)
    """Share of the training examples that keep their system message, or get the run's instructions.

    The model is asked without them and should answer as well under them; see `docs/log.md`."""
    micro_batch_tokens: int = Field(4096, ge=1)
    """Tokens computed at once; bounds memory, never changes the loss."""
    validations: int = Field(2, ge=1)
    """How often validation loss is measured over the whole run; the best checkpoint is kept."""
    seed: int = Field(0, ge=0)
    """Decides the initial adapter and the order of the examples."""

    def num_epochs(self, num_examples: int) -> int:
        """The epochs asked for, or else as many as make `AUTO_EXAMPLES` example passes, within 1..10."""
        return self.epochs or min(max(math.ceil(AUTO_EXAMPLES / num_examples), 1), MAX_AUTO_EPOCHS)
