"""Which vLLM server answers, and how one is started."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["float32", "bfloat16"]


class VllmSpec(BaseModel):
    """A vLLM server that runs already, or one to start. The key is no part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str | None = None
    """Of a server that runs, such as `http://127.0.0.1:8000/v1`; None starts one."""
    command: str = "vllm"
    """What starts one: the `vllm` executable of the environment that vLLM is installed in."""
    precision: Precision = "float32"
    """What it computes in. A server that was started by someone else has to be believed."""
    base_as_adapter: bool = True
    """Ask the base as an adapter of zeros as soon as there are others.

    In a mixed batch, vLLM on a CPU adds the adapter in its last slot to what is asked of the base
    (vllm-project/vllm#48421). On a GPU it does not, and this costs time.
    """
    max_loras: int = Field(4, ge=1)
    """Adapters that answer in one batch. Others wait for a place, and are read from disk again."""
    max_lora_rank: int = Field(16, ge=1, le=512)
    """Adapters are computed at this rank, so more is slower. A server is started again where one has more."""
    start_timeout_s: float = Field(900.0, gt=0)
    """A server that is not ready by then is given up."""
    timeout_s: float = Field(600.0, gt=0, le=3600)
    """A request is given up after so many seconds in which the server sent nothing."""
    max_concurrency: int = Field(64, ge=1, le=256)
    """Requests of `generate` under way at a time; vLLM batches them. A stream is one more."""
