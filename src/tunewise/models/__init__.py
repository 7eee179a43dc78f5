"""Base models, the adapters trained on them, and the ids they go by."""
