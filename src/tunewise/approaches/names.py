"""The approaches that other stages know by name, because they are trained, read documents or are no rival."""

from __future__ import annotations

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
