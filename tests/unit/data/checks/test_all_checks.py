from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from check_samples import data_of
from tunewise.data.checks import ALL_CHECKS

SEVERITIES = ["note", "warning", "error"]
# What the checks look for, so that texts often hold it whole, cut or doubled.
PIECES = st.sampled_from(
    [" ", "\n", "&amp;", "Ã©", "\ufffd", "\u200d", "\u200f", "👩", "م", "क", "{", "[", "(", "```",
     '"a": 1', "sk-" * 9, "password: ", "a@b.co", "+49 30 901820", "4111 1111 1111 1111",
     "://a:b1c2d3@", "eyJ.", "Sorry, but I", "Привет, как дела", "9" * 5000]
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(PIECES, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=6
).map("".join)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_any_text_at_all_is_checked_and_named_by_lines_that_exist(rows: list[tuple[str, str]]) -> None:
    data = data_of(rows * 8)
    lines = [example.line for example in data.examples]
    for check in ALL_CHECKS:
        for problem in check.find(data):
            assert problem.code == check.code
            assert SEVERITIES.index(problem.severity) <= SEVERITIES.index(check.severity)
            assert list(problem.lines) == sorted(set(problem.lines) & set(lines))
            assert problem.message
            assert "\n" not in problem.message


def test_codes_are_unique_and_say_why_they_matter() -> None:
    assert len({check.code for check in ALL_CHECKS}) == len(ALL_CHECKS)
    assert all(check.finds and check.why.endswith(".") for check in ALL_CHECKS)
