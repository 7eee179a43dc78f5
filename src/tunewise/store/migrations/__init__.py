"""How the registry's tables came to be: one Alembic revision per file in `versions/`, applied in order.

To change a table, edit it in `tunewise.store.registry`, add a revision that does the same to files out
there, and move `HEAD` to it. A released revision is never edited.
"""

from pathlib import Path

FOLDER = Path(__file__).parent

HEAD = "0001"
"""The newest revision, so that opening an up-to-date registry need not import Alembic to learn it."""
