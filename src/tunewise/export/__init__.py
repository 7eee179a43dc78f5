"""A tuned model, or a base, as files that other programs read, and the proof that they answer the same."""
