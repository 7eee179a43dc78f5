"""Rows of one template stay together, a chain of small steps does not grow through everything."""

import random
from collections import Counter
from pathlib import Path

from tunewise.data.dataset import read_dataset
from tunewise.data.duplicates import example_id, input_key
from tunewise.data.siblings import group_siblings, has_labels
from tunewise.records import Example, Message

PRICES = Path(__file__).parents[3] / "examples" / "prices.jsonl"
ROOMS = ["kitchen", "garage", "hall", "attic", "cellar", "office", "porch", "bedroom"]


def row(text, answer, line=1):
    messages = (Message("user", text), Message("assistant", answer))
    return Example(example_id(messages), messages, line, input_key(messages[:-1]))


def commands():
    """Forty templates of eight rows; the answers copy the room and name the command."""
    dice = random.Random(0)
    letters = "bcdfghjklmnpqrstvwz"
    verbs = ["".join(dice.choice(letters) + dice.choice("aeiou") for _ in range(3)) for _ in range(80)]
    return [
        (
            row(f"{one} me {other} in {room} {dice.randrange(100)}", f'{{"do": "{one}", "room": "{room}"}}'),
            one,
        )
        for one, other in zip(verbs[:40], verbs[40:], strict=True)
        for room in ROOMS
    ]


def test_rows_of_one_template_are_one_group_and_those_of_two_are_not():
    rows = commands()
    grouped = group_siblings([example for example, _ in rows])
    templates = {}
    for example, (_, template) in zip(grouped, rows, strict=True):
        templates.setdefault(template, set()).add(example.group)
    assert all(len(groups) == 1 for groups in templates.values())
    assert len({example.group for example in grouped}) == 40


def test_the_order_of_the_rows_changes_no_group():
    rows = [example for example, _ in commands()]
    shuffled = random.Random(1).sample(rows, len(rows))
    assert {e.id: e.group for e in group_siblings(rows)} == {e.id: e.group for e in group_siblings(shuffled)}


def test_a_chain_of_small_steps_is_no_group():
    words = [f"{a}{b}x" for a in "bcdfghjkl" for b in "aeiou"] * 2
    chain = [row(" ".join(words[start : start + 6]), "yes") for start in range(45)]
    apart = [row(f"{number} q{number}q z{number}z", "no") for number in range(400)]
    sizes = Counter(example.group for example in group_siblings([*chain, *apart]))
    assert max(sizes.values()) < len(chain) / 2


def test_groups_of_the_user_stay_whole_and_no_other_grows_beyond_a_twentieth():
    rows = [example for example, _ in commands()]
    mine = [Example(e.id, e.messages, e.line, "mine") for e in rows[::2]]
    grouped = group_siblings([*mine, *rows[1::2]])
    assert {example.group for example in grouped[: len(mine)]} == {"mine"}
    # Nothing is joined to a group that is too large already.
    assert max(Counter(e.group for e in grouped[len(mine) :]).values()) <= len(rows) / 20


def test_real_rows_stay_in_many_small_groups():
    examples = read_dataset(PRICES).examples
    sizes = Counter(example.group for example in examples)
    assert len(sizes) > len(examples) / 2
    assert max(sizes.values()) < 0.05 * len(examples)
    by_text = {example.turns[0].content: example.group for example in examples}
    assert by_text["18,00 €"] == by_text["18,00€"]


def test_few_answers_are_labels_unless_they_are_json():
    assert has_labels([row(f"t{number}", "ab"[number % 2]) for number in range(20)])
    assert not has_labels([row(f"t{number}", f"answer {number}") for number in range(20)])
    assert not has_labels([row(f"t{number}", '{"on": true}') for number in range(20)])
