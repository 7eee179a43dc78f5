from __future__ import annotations

import pytest

from check_samples import data_of, find, lines_with, support_rows
from tunewise.data.checks.characters import ControlCharacters, HtmlEntities, Mojibake, StraySpace


@pytest.mark.parametrize("check", [StraySpace(), HtmlEntities(), Mojibake(), ControlCharacters()])
def test_prose_in_many_scripts_is_clean(check) -> None:
    texts = ["naïve café, 5 £ & 3 €", "Größe: 20 °C; “quoted” – dashed…",
             "你好，世界！", "Привет, мир", "l’été «à côté»",
             "می\u200cخواهم", "क्\u200dष", "👩\u200d🔬 ❤️\u200d🔥",
             "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
             "שלום \u200f5%", "a\tb\r\nc", "İstanbul, Çağrı", "Ångström, São Paulo, Łódź"]  # fmt: skip
    assert lines_with(check, [(text, text) for text in texts]) == ()


@pytest.mark.parametrize("text", [" yes", "yes ", "yes\n", "\u00a0yes"])
def test_white_space_around_a_turn_is_found_on_either_side(text: str) -> None:
    rows = support_rows(3)
    assert lines_with(StraySpace(), [*rows, ("question", text), (text, "answer")]) == (4, 5)


@pytest.mark.parametrize("text", ["Tom &amp; Jerry", "it&#39;s", "a&nbsp;b", "5 &lt; 6", "&#x27;"])
def test_html_entities_are_found_in_text(text: str) -> None:
    assert lines_with(HtmlEntities(), [*support_rows(70), ("question", text)]) == (71,)


@pytest.mark.parametrize(
    "text", ["R&D; and more", "?a=1&copy=2", "<p>Tom &amp; Jerry</p>", "```\n&amp;\n```"]
)
def test_ampersands_of_prose_addresses_html_and_code_are_none(text: str) -> None:
    assert lines_with(HtmlEntities(), [("question", text)]) == ()


@pytest.mark.parametrize(
    "text", ["café", "L’été à Köln", "naïve", "130 €", "“quoted”", "Łódź", "Привет, как дела", "Ελλάδα"]
)
def test_utf_8_that_was_read_as_another_encoding_is_found(text: str) -> None:
    broken = text.encode().decode("cp1252" if text[0] < "Ͱ" else "latin-1", errors="ignore")
    assert lines_with(Mojibake(), [*support_rows(70), ("question", f"He said: {broken}")]) == (71,)


def test_characters_that_were_lost_in_decoding_are_found() -> None:
    problem = find(Mojibake(), data_of([("caf\ufffd", "yes")]))
    assert problem is not None
    assert problem.example == "caf\ufffd"


@pytest.mark.parametrize(
    "text",
    [
        "a\x07b",
        "\x1b[31mred",
        "a\u200bb",
        "a\u200db",
        "\ufeffyes",
        "a\u202eb",
        "x\u200ey",
        "so\u00adft",
        "a\x85b",
    ],
)
def test_invisible_characters_are_found_and_spelled_out(text: str) -> None:
    problem = find(ControlCharacters(), data_of([*support_rows(70), ("question", text)]))
    assert problem is not None
    assert problem.lines == (71,)
    assert problem.example is not None
    assert problem.example.isprintable()
