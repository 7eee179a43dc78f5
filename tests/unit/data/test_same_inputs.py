"""Which rows ask the same, and how far their answers agree."""

import pytest

from tunewise.data.duplicates import example_id, input_key
from tunewise.data.same_inputs import RepeatedInputs, find_repeated_inputs
from tunewise.records import Example, Message


def example(question, answer="a", system="Answer."):
    messages = (Message("system", system), Message("user", question), Message("assistant", answer))
    return Example(example_id(messages), messages, 1, input_key(messages[:-1]))


def test_answers_to_repeated_inputs_agree_or_differ():
    agreed = [example("Red?", "Yes"), example("red", "yes "), example("Once?", "no")]
    assert find_repeated_inputs(agreed) == RepeatedInputs(1, 0.0)
    assert find_repeated_inputs([example("a", answer) for answer in "xxxy"]) == RepeatedInputs(1, 0.5)
    assert find_repeated_inputs([example("a", "1.5"), example("a", "15")]).disagreement == 1
    assert find_repeated_inputs([example("a")]) == RepeatedInputs(0, 0.0)


@pytest.mark.parametrize(
    "pair",
    [
        [example("convert 1.50", "two"), example("convert 150", "three")],
        [example("Hello", "Hallo", system="Translate."), example("Hello", "A greeting", system="Summarise.")],
    ],
)
def test_rows_that_ask_for_different_things_cannot_disagree(pair):
    assert find_repeated_inputs(pair) == RepeatedInputs(0, 0.0)


def test_the_same_answer_in_other_writing_is_no_disagreement():
    written = [example("q", '{"a": 1, "b": 2}'), example("q", '{"b": 2.0, "a": 1}')]
    assert find_repeated_inputs(written) == RepeatedInputs(1, 0.0)


def test_an_input_that_occurs_often_counts_no_more_than_another():
    often = [example("often", str(number)) for number in range(50)]
    rest = [example(question, "yes") for question in "abcabcabc"]
    assert find_repeated_inputs([*often, *rest]) == RepeatedInputs(4, 0.25)
