"""From a request to the token ids of its prompt, by the template of the model that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewise.chat.template import ChatTemplate
from tunewise.errors import ModelNotFoundError, RequestError
from tunewise.records import ChatRequest

DEFAULT_MAX_TOKENS = 512
"""Length of an answer whose request sets no limit, where the context leaves as much."""


class Prompts:
    """The chat templates of a base and its adapters, and what of a request fits the base."""

    def __init__(
        self,
        base_id: str,
        tokenizer: Any,
        eos_ids: int | Sequence[int] | None,
        *,
        max_context: int,
        vocab_size: int,
    ) -> None:
        """`eos_ids` as a `transformers` config has them: one, some or none."""
        eos_ids = [] if eos_ids is None else [eos_ids] if isinstance(eos_ids, int) else list(eos_ids)
        self._max_context = max_context
        self.tokenizer = tokenizer
        self._eos_ids = eos_ids
        self._vocab_size = vocab_size
        self._templates = {base_id: ChatTemplate(tokenizer, eos_ids=eos_ids)}

    def limit_context(self, max_context: int | None) -> None:
        """Hold no more tokens than this; None is no limit beyond the model's own."""
        if max_context is not None:
            self._max_context = min(self._max_context, max_context)

    def add(self, model: str, folder: Path) -> None:
        """Take the template of the adapter in `folder` for the model's."""
        self._templates[model] = ChatTemplate.of_adapter(folder, self.tokenizer, self._eos_ids)

    def remove(self, model: str) -> None:
        """Forget a model. Raises `ModelNotFoundError`."""
        self.of(model)
        del self._templates[model]

    def models(self) -> list[str]:
        """All models, the base first."""
        return list(self._templates)

    def of(self, model: str) -> ChatTemplate:
        """The template of a model. Raises `ModelNotFoundError`."""
        try:
            return self._templates[model]
        except KeyError:
            raise ModelNotFoundError(f"the model {model!r} does not exist") from None

    def encode(self, request: ChatRequest) -> list[int]:
        """The prompt's ids. Raises `RequestError` for what the base cannot hold or does not know."""
        ids = self.of(request.model).encode_prompt(request.messages, request.tools)
        wanted = request.max_tokens or 1
        if len(ids) + wanted > self._max_context:
            raise RequestError(
                f"this prompt has {len(ids)} tokens and asks for up to {wanted} more, "
                f"but the context of {request.model} holds {self._max_context}",
                param="messages",
                code="context_length_exceeded",
            )
        unknown = [token for token in request.logit_bias if not 0 <= token < self._vocab_size]
        if unknown:
            raise RequestError(
                f"there is no token {unknown[0]}: ids of {request.model} are below {self._vocab_size}",
                param="logit_bias",
            )
        return ids

    def longest_answer(self, request: ChatRequest, num_prompt: int) -> int:
        """How many tokens the answer to a prompt of `num_prompt` tokens may have."""
        return request.max_tokens or min(DEFAULT_MAX_TOKENS, self._max_context - num_prompt)
