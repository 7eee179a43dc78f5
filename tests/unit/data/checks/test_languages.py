from __future__ import annotations

import pytest

from check_samples import lines_with, real_data, support_rows
from tunewise.data.checks.languages import MixedLanguages

GERMAN = (
    "Vielen Dank für Ihre Bestellung. Die Lampe wird am Montag bei Ihnen sein, und wir wünschen viel Freude."
)
FRENCH = "Merci pour votre commande. La lampe sera chez vous lundi, et nous vous souhaitons bien du plaisir."
SPANISH = "Gracias por su pedido. La lámpara le llegará el lunes y esperamos que disfrute de ella."
RUSSIAN = "Спасибо за заказ. Лампа будет у вас в понедельник."
CHINESE = "感谢您的订购。这盏灯将于星期一送达。"


@pytest.mark.parametrize("text", [GERMAN, FRENCH, SPANISH, RUSSIAN, CHINESE])
def test_a_row_in_another_language_is_found_on_either_side(text: str) -> None:
    rows = support_rows()
    rows[7] = (rows[7][0], text)
    rows[21] = (text, rows[21][1])
    assert lines_with(MixedLanguages(), rows) == (8, 22)


def test_names_quotations_and_numbers_are_no_other_language() -> None:
    rows = support_rows()
    rows[3] = (rows[3][0], "The word 你好 means hello, and Привет does too, in the way that people say it.")
    rows[4] = (rows[4][0], "Häagen-Dazs, Größe 42, Champs-Élysées 17, Łódź")
    rows[5] = (rows[5][0], "42")
    assert lines_with(MixedLanguages(), rows) == ()


def test_translations_and_files_in_many_languages_are_meant_so() -> None:
    assert lines_with(MixedLanguages(), [(asked, FRENCH) for asked, _ in support_rows()]) == ()
    many = [(asked, (GERMAN, answer)[row % 2]) for row, (asked, answer) in enumerate(support_rows())]
    assert lines_with(MixedLanguages(), many) == ()


def test_prices_are_in_too_many_scripts_to_judge_but_for_whole_sentences() -> None:
    found = [line for problem in MixedLanguages().find(real_data()) for line in problem.lines]
    assert len(found) <= 0.01 * len(real_data().examples)


def test_a_sentence_among_fragments_of_no_language_is_found() -> None:
    rows = [(f"{n} N. Okeechobee Blvd Apt {n % 7}, Boca Raton FL 33{n}", "{}") for n in range(100, 180)]
    rows[5] = (GERMAN, "{}")
    rows[6] = ("12 Rue de la Paix, Saint-Louis MO 63101", "{}")
    assert lines_with(MixedLanguages(), rows) == (6,)


def test_a_foreign_sentence_is_found_among_fragments_however_often_it_stands_there() -> None:
    rows = [(f"{n} N. Okeechobee Blvd Apt {n % 7}, Boca Raton FL 33{n}", "{}") for n in range(100, 300)]
    copies = range(7, 97, 10)
    for row in copies:
        rows[row] = (f"{SPANISH} {row}", "{}")
    assert lines_with(MixedLanguages(), rows) == tuple(row + 1 for row in copies)
