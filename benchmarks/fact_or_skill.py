"""Whether answers are told from their own prompts (a skill), and what becomes of that if they are mispaired.

Of up to 1,000 answers of each file, against 10,000 prompts. *Own-prompt AUC* is how often an answer's own
prompt covers more of it than another prompt does, 0.5 being chance; *own coverage* how much of the answer's
rarer trigrams it holds; *mismatch* the share of the answers of which another prompt covers 0.3 more. The peer
is the same file with its answers shuffled. An answer that stands in no prompt (a fact, a label) is as much at
home in any other row, so that shuffling changes nothing.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from results_file import Figure, write_results
from tunewise.data.dataset import read_dataset
from tunewise.evaluate.fact_or_skill import measure_prompt_coverage
from tunewise.records import Example

SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="files of examples")
    figures = [figure for file in parser.parse_args().data for figure in measure(file)]
    for figure in figures:
        print(f"{figure.figure}: {figure.value} (shuffled {figure.peer}) {figure.limited_by}", flush=True)
    print(f"written to {write_results('fact_or_skill', figures)}")


def measure(file: Path) -> Iterator[Figure]:
    examples = read_dataset(file).examples
    paired = measure_prompt_coverage(examples, SEED)
    shuffled = measure_prompt_coverage(shuffle_answers(examples), SEED)
    if paired is None or shuffled is None:
        undefined = "undefined: too few answers hold anything that few others do"
        yield Figure(f"{file.stem}: answers examined", 0, "of 1", None, None, None, None, undefined)
        return
    examined = f"{paired.examined} answers that hold something rare enough to be told by"
    for name, value, peer in (
        ("own-prompt AUC", paired.own_auc, shuffled.own_auc),
        ("own coverage", paired.own_coverage, shuffled.own_coverage),
        ("mismatch", paired.mismatch, shuffled.mismatch),
    ):
        ratio = round(value / peer, 3) if peer else None
        yield Figure(
            f"{file.stem}: {name}", round(value, 3), "of 1", round(peer, 3), ratio, None, None, examined
        )


def shuffle_answers(examples: Sequence[Example]) -> list[Example]:
    """Each answer under another row's prompt; ids and groups stay with the prompts."""
    answers = [example.messages[-1] for example in examples]
    random.Random(SEED).shuffle(answers)
    return [
        replace(example, messages=(*example.prompt, answer))
        for example, answer in zip(examples, answers, strict=True)
    ]


if __name__ == "__main__":
    main()
