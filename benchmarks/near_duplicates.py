"""Whether planted near duplicates are found, and whether a split keeps rows of one template on one side.

Planted: a twentieth of the rows again, with the same answer and one edit each (a word changed, dropped, added
or swapped with the next, a typing error, case, punctuation, a digit), over three seeds. *Alarms* are rows
named without having been planted, or copied; *on clean rows* leaves out those that have a twin in the data
itself: the same answer and, where `NAME_groups.txt` beside the data says which row came from which template,
the same template, or else nine of ten letters and digits in common. *Leaked* is the share of test rows
whose template is trained on, over ten seeds; the peer is a split that keeps only equal inputs together.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from rapidfuzz import fuzz, process

from planting.rows import read_templates
from results_file import Figure, write_results
from tunewise.data.dataset import read_dataset
from tunewise.data.duplicates import example_id, input_key, normalise
from tunewise.data.near_duplicates import find_near_duplicates
from tunewise.data.siblings import MAX_GROUP_SHARE, group_siblings
from tunewise.data.split import effective_examples, split_examples
from tunewise.records import Example, Message

PLANTED_SHARE = 0.05
PLANT_SEEDS, SPLIT_SEEDS = range(3), range(10)
LEAST_RECALL, MOST_ALARMS, MOST_LEAKED = 0.9, 0.02, 0.4
TWIN = 90
"""Of 100: how alike the letters and digits of twins are (rapidfuzz's `ratio`)."""
EDITS = ("changed", "dropped", "added", "swapped", "typo", "case", "punctuation", "digit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="files of examples")
    figures = [figure for file in parser.parse_args().data for figure in measure(file)]
    for figure in figures:
        print(f"{figure.figure}: {figure.value} {figure.unit}", flush=True)
    print(f"written to {write_results('near_duplicates', figures)}")


def measure(file: Path) -> list[Figure]:
    rows = [replace(row, group=input_key(row.prompt)) for row in read_dataset(file).examples]
    names = read_templates(file)
    templates = {row.id: names[row.line - 1] for row in rows} if names else {}
    found = [find_planted(rows, templates, seed) for seed in PLANT_SEEDS]
    recall, alarms, clean = (mean(values) for values in zip(*found, strict=True))
    siblings = group_siblings(rows)
    sizes = Counter(row.group for row in siblings)
    largest = max(sizes.values()) / len(rows)
    figures = [
        Figure(
            f"{file.stem}: planted near duplicates that are found",
            *(round(recall, 3), "of 1", None, None, LEAST_RECALL, recall >= LEAST_RECALL),
            "places at which rows of this file differ all the time, and words that are all a row says",
        ),
        Figure(
            f"{file.stem}: alarms on clean rows",
            *(round(clean, 4), "of 1", None, None, MOST_ALARMS, clean <= MOST_ALARMS),
            f"{alarms:.1%} of the rows that were not planted have an alarm, twins in the data among them",
        ),
        Figure(
            f"{file.stem}: largest group of siblings",
            *(round(largest, 4), "of the rows", None, None, MAX_GROUP_SHARE, largest <= MAX_GROUP_SHARE),
            f"{len(sizes)} groups of {len(rows)} rows; as good as "
            f"{effective_examples(list(sizes.values())):.0f} rows each of its own",
        ),
    ]
    if templates:
        leaked, unaided = (leaked_share(examples, templates) for examples in (siblings, rows))
        figures.append(
            Figure(
                f"{file.stem}: test rows that leaked, of {len(set(templates.values()))} templates",
                *(round(leaked, 3), "of 1", round(unaided, 3), round(leaked / unaided, 3)),
                *(MOST_LEAKED, leaked <= MOST_LEAKED),
                "templates that share no uncommon word among their own rows, or are one with others",
            )
        )
    return figures


def find_planted(rows: Sequence[Example], templates: dict[str, str], seed: int) -> tuple[float, float, float]:
    """The shares of planted rows, of all others and of clean others that are named."""
    dice = random.Random(seed)
    words = [word for row in rows for word in row.turns[-1].content.split()]
    planted: list[Example] = []
    copied: set[str] = set()
    for number, row in enumerate(dice.sample(rows, len(rows))):
        if len(planted) >= PLANTED_SHARE * len(rows):
            break
        text = edit(row.turns[-1].content, EDITS[number % len(EDITS)], words, dice)
        if text not in (None, row.turns[-1].content):
            messages = (*row.messages[:-2], Message("user", text or ""), row.messages[-1])
            planted.append(Example(example_id(messages), messages, 0, row.group))
            copied.add(row.id)
    both = [*rows, *planted]
    pairs = find_near_duplicates(both)
    named = {position for pair in pairs for position in (pair.first, pair.second)}
    others = [position for position, row in enumerate(rows) if row.id not in copied]
    twins = twin_positions(rows, templates)
    clean = [position for position in others if position not in twins]
    return (
        mean(position in named for position in range(len(rows), len(both))),
        mean(position in named for position in others),
        mean(position in named for position in clean),
    )


def edit(text: str, kind: str, vocabulary: Sequence[str], dice: random.Random) -> str | None:
    """`text` with one edit, or None where it has no place for it."""
    words = text.split()
    place = dice.randrange(len(words))
    if kind in ("dropped", "swapped") and len(words) < 3:
        return None
    match kind:
        case "changed":
            words[place] = dice.choice(vocabulary)
        case "dropped":
            del words[place]
        case "added":
            words.insert(place, dice.choice(vocabulary))
        case "swapped":
            place = min(place, len(words) - 2)
            words[place : place + 2] = words[place : place + 2][::-1]
        case "typo":
            long = [position for position, word in enumerate(words) if word.isalpha() and len(word) > 3]
            if not long:
                return None
            place = dice.choice(long)
            letter = dice.randrange(1, len(words[place]) - 1)
            words[place] = words[place][:letter] + words[place][letter + 1 :]
        case "case":
            return dice.choice([text.upper(), text.lower(), text.title()])
        case "punctuation":
            return dice.choice([f"{text}!", f"{text}.", f"{text.rstrip('.!?')} ?"])
        case "digit":
            digits = list(re.finditer(r"\d", text))
            if not digits:
                return None
            start = dice.choice(digits).start()
            return text[:start] + dice.choice("0123456789") + text[start + 1 :]
    return " ".join(words)


def twin_positions(rows: Sequence[Example], templates: dict[str, str]) -> set[int]:
    """Rows with a twin among the rows as they are."""
    by_answer: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        by_answer.setdefault(row.answer.casefold(), []).append(position)
    twins: set[int] = set()
    for positions in by_answer.values():
        if templates:
            counts = Counter(templates[rows[position].id] for position in positions)
            twins |= {position for position in positions if counts[templates[rows[position].id]] > 1}
            continue
        texts = [
            "".join(filter(str.isalnum, normalise(rows[position].turns[-1].content)))
            for position in positions
        ]
        alike = process.cdist(texts, texts, scorer=fuzz.ratio, score_cutoff=TWIN)
        twins |= {
            position for position, scores in zip(positions, alike, strict=True) if (scores > 0).sum() > 1
        }
    return twins


def leaked_share(rows: Sequence[Example], templates: dict[str, str]) -> float:
    shares = []
    for seed in SPLIT_SEEDS:
        split = split_examples(rows, seed, path="")
        trained = {templates[row.id] for row in split.train}
        shares.append(mean(templates[row.id] in trained for row in split.test.read("leaks")))
    return mean(shares)


if __name__ == "__main__":
    main()
