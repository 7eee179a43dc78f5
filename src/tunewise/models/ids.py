"""The ids of tuned models: `ft:<base>:<org>:<suffix>:<id>`, as OpenAI writes them."""

from __future__ import annotations

import hashlib
import re

from tunewise.errors import SpecError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no letter is mistaken for a digit.
_SUFFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_suffix(suffix: str) -> str:
    """Return `suffix` when it can be part of a model id. Raises `SpecError` that says what can."""
    if not _SUFFIX.fullmatch(suffix):
        raise SpecError(
            f"suffix {suffix!r}: use 1 to 64 letters, digits, '.', '-' or '_', a letter or digit first"
        )
    return suffix


def tuned_model_id(base_name: str, organization: str, suffix: str, *origin: str) -> str:
    """The id of the model that `origin` (its folder, its hash) describes; the same each time."""
    number = int.from_bytes(hashlib.sha256("\n".join(origin).encode()).digest()[:8], "big")
    digits = "".join(_ALPHABET[number >> (5 * place) & 31] for place in range(6))
    return f"ft:{base_name}:{organization}:{suffix}:{digits}"
