"""The OpenAI-compatible API over an engine and the registry."""
