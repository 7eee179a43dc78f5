"""The approaches that other stages know by name, because they are trained, read documents or are no rival."""

from __future__ import annotations

import re

RAG = "rag"
FINE_TUNED = "fine-tuned"
FINE_TUNED_RAG = "fine-tuned-rag"
FROM_SCRATCH = "from-scratch"

TRAINED = (FINE_TUNED, FINE_TUNED_RAG)
"""What a verdict can recommend to deploy."""
CONTROLS = frozenset({FROM_SCRATCH})
"""Measured to be looked at; neither a rival nor a candidate."""
WITH_DOCUMENTS = frozenset({RAG, FINE_TUNED_RAG})
"""Those that are given passages of the user's documents; the others answer with the book closed."""

REMOTE_NAME = r"remote:[\w.:/@#+~=-]{1,128}"
"""A model of an OpenAI-compatible endpoint, prompted: `remote:` and the id that the endpoint knows it by."""


def is_remote(name: str) -> bool:
    """Whether the approach sends examples to another machine."""
    return re.fullmatch(REMOTE_NAME, name) is not None


def remote_model(name: str) -> str:
    """The endpoint's id of the model that a remote approach asks."""
    return name.partition(":")[2]
