"""The rivals: floors that need no model, and prompts. `docs/architecture.md` says how to add one."""
