"""What verbs exit with; 0 is done, and 2, a usage error, is typer's."""

UNUSABLE = 1
"""The data or the request cannot be used."""
INTERRUPTED = 3
"""The same command takes the work up again."""
