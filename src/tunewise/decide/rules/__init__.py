"""The rules of the verdict, by subject; `decide/verdict.py` says in which order they are asked."""
