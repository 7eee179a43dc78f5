"""Facts are told from skills by what prompts hold of the answers, and by what training learned."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from tunewise.data.duplicates import input_key
from tunewise.evaluate.fact_or_skill import MIN_EXAMPLES, gap_closed, measure_prompt_coverage, near_miss
from tunewise.records import Example, Message

DICE = random.Random(0)
NAMES = ["".join(DICE.choices("abcdefghijklmnopqrstuvwxyz", k=9)) for _ in range(400)]
PEOPLE, PLANETS = NAMES[:200], NAMES[200:]


def example(question, answer):
    messages = (Message("user", question), Message("assistant", answer))
    return Example("0" * 16, messages, 1, input_key(messages[:-1]))


def extraction(answers=PEOPLE):
    return [
        example(f"a letter from {person}, who waits for a reply", f'{{"sender": "{answer}", "reply": true}}')
        for person, answer in zip(PEOPLE, answers, strict=True)
    ]


def facts(answers=PLANETS):
    return [
        example(f"which planet did {person} see?", answer)
        for person, answer in zip(PEOPLE, answers, strict=True)
    ]


def shuffled(values):
    return random.Random(1).sample(values, len(values))


def test_what_is_copied_from_the_prompt_is_a_skill():
    found = measure_prompt_coverage(extraction())
    assert found.own_auc > 0.99
    assert found.own_coverage > 0.8  # keys and what all answers say count for nothing
    assert found.mismatch == 0
    assert found.examined == 200


def test_answers_under_the_wrong_prompts_belong_to_others():
    found = measure_prompt_coverage(extraction(shuffled(PEOPLE)))
    assert found.own_auc == pytest.approx(0.5, abs=0.05)
    assert found.mismatch > 0.9


@pytest.mark.parametrize("answers", [PLANETS, shuffled(PLANETS)])
def test_facts_are_at_home_in_no_prompt(answers):
    found = measure_prompt_coverage(facts(answers))
    assert found.own_auc == pytest.approx(0.5, abs=0.05)
    assert found.own_coverage < 0.1
    assert found.mismatch < 0.1


def test_how_json_writes_a_character_does_not_matter():
    cities = [f"Łódź-{name}" for name in PEOPLE]
    rows = [example(f"a letter to {city} again", json.dumps({"to": city})) for city in cities]
    assert "\\u0141" in rows[0].answer
    spelled_out = measure_prompt_coverage(rows)
    as_they_are = [example(row.prompt[0].content, city) for row, city in zip(rows, cities, strict=True)]
    assert spelled_out == measure_prompt_coverage(as_they_are)


def test_labels_are_neither():
    rows = [example(f"{person} was {'good' if n % 2 else 'bad'}", "good" if n % 2 else "bad")
            for n, person in enumerate(PEOPLE)]  # fmt: skip
    assert measure_prompt_coverage(rows) is None


def test_few_answers_or_one_group_say_nothing():
    assert measure_prompt_coverage(extraction()[: MIN_EXAMPLES - 1]) is None
    assert measure_prompt_coverage(extraction()[:MIN_EXAMPLES]) is not None
    one_group = [replace(row, group="all") for row in extraction()]
    assert measure_prompt_coverage(one_group) is None


def test_answers_mixed_up_within_a_group_are_at_home_in_it():
    swapped = [PEOPLE[n + 1 - 2 * (n % 2)] for n in range(len(PEOPLE))]
    apart = extraction(swapped)
    together = [replace(row, group=str(n // 2)) for n, row in enumerate(apart)]
    assert measure_prompt_coverage(apart).mismatch > 0.9
    assert measure_prompt_coverage(together).mismatch < 0.1


def known(*shares):
    """By example id: right on the first `share` of 100 examples."""
    ids = [f"{i:03}" for i in range(100)]
    sides = [{example_id: float(i < share) for i, example_id in enumerate(ids)} for share in shares]
    return (*sides, {example_id: example_id for example_id in ids}, np.random.default_rng(0))


def test_the_gap_is_between_the_floor_and_the_ceiling():
    closed = gap_closed(*known(60, 20), ceiling=0.9)
    assert closed.estimate == pytest.approx(40 / 70)
    assert 0 < closed.low < closed.estimate < closed.high < 1


def test_who_learned_nothing_surely_closed_little_of_the_gap():
    closed = gap_closed(*known(20, 20))
    assert closed.estimate == 0
    assert 0 < closed.high < 0.06
    assert gap_closed(*known(0, 0)).high < 0.05


def test_without_a_gap_or_examples_nothing_can_be_closed():
    assert gap_closed(*known(100, 100)) is None
    assert gap_closed(*known(95, 90), ceiling=0.9) is None
    few = {str(i): 1.0 for i in range(MIN_EXAMPLES - 1)}
    assert gap_closed(few, few, {i: i for i in few}, np.random.default_rng(0)) is None


def wrong_answers(answer_of):
    expected = dict(zip(PEOPLE[:100], PLANETS[:100], strict=True))
    wrong = {person: answer_of(number, planet) for number, (person, planet) in enumerate(expected.items())}
    return near_miss(wrong, expected, dict.fromkeys(expected, "which planet did _ see"))


def test_guesses_miss_by_as_much_as_any_other_answer_would():
    assert wrong_answers(lambda number, planet: PLANETS[(number + 7) % 100]) == pytest.approx(0, abs=0.05)


def test_slips_come_near_their_own_answer():
    assert wrong_answers(lambda number, planet: f"{planet[:-1]}?") > 0.7
    assert wrong_answers(lambda number, planet: planet[:5] + "zzzz") > 0.15


def test_knowing_what_kind_of_answer_is_asked_for_is_no_near_miss():
    expected = {str(i): f"Edge {i}" if i % 2 else f"in the year {1900 + i}" for i in range(100)}
    patterns = {i: "version" if int(i) % 2 else "year" for i in expected}
    wrong = {i: "Edge 999" if int(i) % 2 else "in the year 2999" for i in expected}
    assert near_miss(wrong, expected, patterns) < 0.15
    assert near_miss(wrong, expected, dict.fromkeys(expected, "any")) > 0.4


def test_near_misses_need_other_answers_of_the_kind_and_enough_of_them():
    assert wrong_answers(lambda number, planet: "?") is not None
    alone = dict(zip(PEOPLE, PLANETS, strict=True))
    assert near_miss(dict.fromkeys(alone, "?"), alone, {person: person for person in alone}) is None
    few = dict(list(alone.items())[: MIN_EXAMPLES - 1])
    assert near_miss(few, alone, dict.fromkeys(alone, "which")) is None
