"""`python -m tunewise`: the command line where its script is not on the path."""

from __future__ import annotations

from tunewise.cli import main

if __name__ == "__main__":
    main()
