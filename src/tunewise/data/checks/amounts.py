"""Too few rows to learn from."""

from __future__ import annotations

from collections.abc import Iterator

from tunewise.data.checks.base import CheckedData, Cost, Problem, Severity
from tunewise.data.split import MIN_TO_SPLIT, WORTH_MEASURING


class TooFew:
    """A file with a handful of examples."""

    code = "too-few"
    severity: Severity = "error"
    cost: Cost = "cheap"
    finds = f"fewer than {MIN_TO_SPLIT} different examples (error), or fewer than {WORTH_MEASURING} (warning)"
    why = "A quarter is set aside to test with, and on so few no gain can be told from chance."

    def find(self, data: CheckedData) -> Iterator[Problem]:
        """Of the file as a whole; repetitions do not count."""
        different = data.num_different
        if not data.examples and not data.rejected:
            yield Problem(
                self.code, "error", (), "there are no rows: give a file with one conversation per line or row"
            )
        elif different < MIN_TO_SPLIT:
            usable = f"{different} usable example{'s' * (different != 1)}"
            yield Problem(
                self.code,
                "error",
                (),
                f"{usable}: {MIN_TO_SPLIT} are the least to train, choose and test with, "
                f"and {WORTH_MEASURING} are worth measuring",
            )
        elif different < WORTH_MEASURING:
            yield Problem(
                self.code,
                "warning",
                (),
                f"{different} different examples: with fewer than {WORTH_MEASURING}, prompting usually does "
                "as well, and the test set is too small to show a gain",
            )
