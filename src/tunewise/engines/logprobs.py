"""How likely the model found each token that it wrote, and which others it considered."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Any

from torch import Tensor

from tunewise.records import TokenLogprob

_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")


def _byte_alphabet() -> dict[str, bytes]:
    """The characters by which byte-level BPE writes the 256 bytes (GPT-2's `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    characters = [*printable, *(256 + i for i in range(len(others)))]
    pairs = zip(characters, [*printable, *others], strict=True)
    return {chr(character): bytes([byte]) for character, byte in pairs}


_BYTE_OF_CHARACTER = _byte_alphabet()


class TokenSpelling:
    """The exact bytes of a tokenizer's tokens, which `decode` cannot give for a piece of a character."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = {id: token.content for id, token in tokenizer.added_tokens_decoder.items()}
        decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
        self._is_byte_level = decoder is not None and b'"ByteLevel"' in decoder.__getstate__()

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 that a token stands for; special tokens as they are written, unused ids as nothing."""
        piece: str | None = self._added.get(token)
        if piece is not None:
            return piece.encode()
        [piece] = self._tokenizer.convert_ids_to_tokens([token])
        if piece is None:
            return b""
        if self._is_byte_level:
            return b"".join(_BYTE_OF_CHARACTER.get(c) or c.encode() for c in piece)
        # SentencePiece: bytes outside its vocabulary have tokens of their own, and a space is U+2581.
        byte = _BYTE_PIECE.fullmatch(piece)
        return bytes.fromhex(byte[1]) if byte else piece.replace("\u2581", " ").encode()


def token_logprob(logits: Tensor, token: int, num_top: int, spelling: TokenSpelling) -> TokenLogprob:
    """The log probability of `token` under the model's own `logits` [vocabulary], beside the likeliest."""
    logprobs = logits.float().log_softmax(-1)
    values, tokens = logprobs.topk(num_top)
    top = zip(tokens.tolist(), values.tolist(), strict=True)
    return TokenLogprob(
        spelling.bytes_of(token),
        float(logprobs[token]),
        tuple(TokenLogprob(spelling.bytes_of(other), value) for other, value in top),
    )


class AnswerLogprobs:
    """The tokens of an answer under way, by where in its text they begin."""

    def __init__(self) -> None:
        self.tokens: list[TokenLogprob] = []
        self._begins: list[int] = []
        self._num_settled = 0
        """Characters of the text so far that no later token can change."""
        self._num_taken = 0

    def add(self, token: TokenLogprob, text: str) -> None:
        """The next token; `text` is the answer up to and with it."""
        self.tokens.append(token)
        self._begins.append(self._num_settled)
        self._num_settled = len(text.rstrip("\ufffd"))

    def cut(self, text: str) -> None:
        """Forget the tokens that begin behind `text`, which is all that is left of the answer."""
        del self.tokens[bisect_left(self._begins, len(text)) :]

    def take(self, text: str | None = None) -> tuple[TokenLogprob, ...]:
        """Those that begin in `text`, a beginning of the answer, or all, and were not taken before."""
        end = len(self.tokens) if text is None else bisect_left(self._begins, len(text))
        taken = tuple(self.tokens[self._num_taken : end])
        self._num_taken = max(self._num_taken, end)
        return taken
