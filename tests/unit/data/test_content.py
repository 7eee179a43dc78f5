"""Texts say the same number however it is written, and never another one."""

import pytest

from tunewise.data.content import answer_phrases, text_units


@pytest.mark.parametrize(
    "ways",
    [
        ("1234.5", "1,234.50", "1.234,5", "1234,50"),
        ("1234567", "1,234,567", "1.234.567"),
        ("7450", "7,450", "7,450.00"),
        ("-5", "−5", "-5.0", "-5,00"),
        ("0.5", "0,5", "0.500"),
    ],
)
def test_a_number_is_one_unit_however_it_is_written(ways):
    assert {tuple(text_units(f"is {way}.")) for way in ways} == {("is", ways[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.5", "15"),
        ("-5", "5"),
        ("1/12/2024", "11/2/2024"),
        ("2024-01-12", "20240112"),
        ("1:30", "130"),
        ("10-20", "1020"),
        ("2.500", "2.5"),
    ],
)
def test_other_numbers_are_other_units(one, other):
    assert list(text_units(one)) != list(text_units(other))


def test_a_hyphen_after_a_word_is_no_sign():
    assert list(text_units("EN-71 and (3)-4, -2")) == ["en", "71", "and", "3", "4", "-2"]


def test_signed_numbers_of_longer_answers_are_looked_for():
    assert ("-5",) in answer_phrases("Overnight it cools down to -5 degrees or so.")
