"""How answers are scored, the same for every rival; one file per family of metrics.

A metric is a function `(answer, expected) -> float | None`: 1 is right, 0 is wrong, and None is undefined,
which is never counted as 0. `scoring.py` says which there are, and chooses those that fit the data.
"""
