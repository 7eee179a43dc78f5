"""Which examples count as the same, and which must share a side."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.data.duplicates import (
    example_id,
    input_key,
    join_groups,
    remove_exact_duplicates,
    remove_respaced,
)
from tunewise.records import Example, Message, Tool


def example(question, answer="a", line=1, system=None):
    messages = (Message("user", question), Message("assistant", answer))
    if system:
        messages = (Message("system", system), *messages)
    return Example(example_id(messages), messages, line, input_key(messages[:-1]))


def test_the_first_of_exact_duplicates_is_kept():
    rows = [example("q", line=1), example("r", line=2), example("q", line=3), example("q", line=4)]
    kept, dropped = remove_exact_duplicates(rows)
    assert [e.line for e in kept] == [1, 2]
    assert [e.line for e in dropped] == [3, 4]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("20 zł for two", "  20  zł for\ttwo "),
        ("first line\nsecond line", "first line\n\nsecond line\n"),
        ("a\u00a0b", "a b"),
    ],
)
def test_of_rows_that_differ_in_spacing_alone_the_first_is_kept(one, other):
    rows = [example(one, line=1), example("another", line=2), example(other, line=3)]
    kept, dropped = remove_respaced(rows)
    assert [e.line for e in kept] == [1, 2]
    assert [e.line for e in dropped] == [3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "ab"),  # Whether there is a space at all may be the question.
        ("20 zł", "20 ZŁ"),
        ("yes", "yes!"),
        ("if a:\n    b\nc", "if a:\n    b\n    c"),
        ("key:\n  - a", "key:\n- a"),
    ],
)
def test_inputs_that_differ_in_more_are_both_kept(one, other):
    rows = [example(one), example(other)]
    assert remove_respaced(rows) == (rows, [])


def test_with_another_answer_instruction_or_reply_before_rows_are_both_kept():
    def talk(reply, system="S", answer="a", weight=1):
        said = ("system", system), ("user", "q"), ("assistant", reply), ("user", "more")
        messages = (*(Message(role, text) for role, text in said), Message("assistant", answer, weight))
        return Example(example_id(messages), messages, 1, input_key(messages[:-1]))

    first = talk("one  word")
    different = [
        talk("one word"),
        talk("one  word", system="T"),
        talk("one  word", answer="a "),
        talk("one  word", weight=0),
        replace(first, tools=(Tool("look_up"),)),
    ]
    rows = [first, *different]
    assert remove_respaced(rows) == (rows, [])
    assert remove_respaced([first, talk("one  word", system=" S ")]) == (
        [first],
        [talk("one  word", system=" S ")],
    )


def test_another_answer_to_the_same_question_is_no_duplicate_but_shares_its_group():
    one, other = example("q", "a"), example("q", "b")
    assert remove_exact_duplicates([one, other]) == ([one, other], [])
    assert one.group == other.group


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2000 zł", "2000 ZŁ"),
        ("2000 zł", "2000zł."),
        ("a\tb\n", "a b"),
        ("１２", "12"),
        ("Straße", "STRASSE"),
        ("what's that?", "Whats that"),
    ],
)
def test_inputs_that_differ_in_case_spacing_or_punctuation_share_a_group(one, other):
    assert example(one).group == example(other).group


@pytest.mark.parametrize(
    ("one", "other"), [("20 €", "20 $"), ("a+b", "ab"), ("😀", "😢"), ("?", "!"), ("कि", "का")]
)
def test_inputs_that_say_something_else_do_not(one, other):
    assert example(one).group != example(other).group


def test_a_reworded_instruction_does_not_part_the_same_question():
    assert example("q", system="Extract.").group == example("q", system="Please extract.").group


def test_groups_are_joined_along_chains_of_users_and_inputs():
    rows = [example("q"), example("Q!"), example("r"), example("s")]
    joined = join_groups(rows, ["cat", "bob", "bob", "dan"])
    assert [e.group for e in joined] == ["bob", "bob", "bob", "dan"]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), min_size=1, max_size=20),
    st.integers(),
)
def test_joining_respects_inputs_and_users_whatever_the_order(pairs, seed):
    rows = [(example(question, line=line), user) for line, (question, user) in enumerate(pairs)]
    shuffled = random.Random(seed).sample(rows, len(rows))
    by_line = {e.line: e.group for e in join_groups(*map(list, zip(*rows, strict=True)))}
    again = {e.line: e.group for e in join_groups(*map(list, zip(*shuffled, strict=True)))}
    assert by_line == again
    for one, user in rows:
        for other, other_user in rows:
            if one.group == other.group or user == other_user:
                assert by_line[one.line] == by_line[other.line]
