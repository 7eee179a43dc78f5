from __future__ import annotations

import pytest

from check_samples import data_of, find, lines_with, real_data, support_rows
from tunewise.data.checks.privacy import PersonalData, Secrets

SECRETS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0123456789abcd",
    "sk-" + "proj-abcdEFGH1234ijklMNOP5678",
    "sk-ant-" + "api03-abcdEFGH1234ijklMNOP5678",
    "hf_" + "abcdefghijKLMNOPQRST1234567890abcd",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "xoxb-" + "123456789012-123456789012-abcdefGHIJKL",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
    "password: " + "Tr0ub4dor&3x",
    "api_key = " + "'9f8e7d6c5b4a39281706'",
    "postgres://admin:" + "s3cr3tpw@db.internal/main",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_in_question_and_answer_and_not_repeated(secret: str) -> None:
    rows = [*support_rows(70), (f"My key is {secret} and fails.", "Sorry."), ("Which?", f"Use {secret}")]
    problem = find(Secrets(), data_of(rows))
    assert problem is not None
    assert (problem.severity, problem.lines) == ("error", (71, 72))
    assert secret not in problem.message + (problem.example or "")


def test_the_length_that_is_shown_is_that_of_the_whole_secret() -> None:
    token = "ghp_" + "a1B2" * 9
    problem = find(Secrets(), data_of([*support_rows(), (f"The ghp of {token}", "Sorry.")]))
    assert problem is not None
    assert problem.example == f"ghp_... ({len(token)} characters)"


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my password, what is the secret to resetting it?",
        "Your password is case sensitive and has to have 8 characters.",
        "Give the API key that you find under settings: Developer",
        "The task-management desk-based ask-me-anything session",
        "See https://example.com/a:b and http://host:8080/x, or write to me@example.com",
        "token: none",
        "http://username:password@host.com/path or ftp://me:<password>@host and redis://:***@db",
    ],
)
def test_talk_of_passwords_keys_and_addresses_is_no_secret(text: str) -> None:
    assert lines_with(Secrets(), [(text, text)]) == ()


@pytest.mark.parametrize(
    "text",
    [
        "write to jane.doe+shop@mail.co.uk please",
        "call +49 30 901820 today",
        "call +1-555-234-5678",
        "call (555) 234-5678",
        "call 555-234-5678.",
        "my card 4111 1111 1111 1111 was charged",
        "my card 4111111111111111 was charged",
        "IBAN DE89 3704 0044 0532 0130 00",
        "my SSN is 536-90-4399",
        "Lawson, Urbana, AR +44 20 7946 0191 71768",
        "3474 4273 9991 6404 0094 scenic hwy 98",
        "DE89 3704 0044 0532 0130 00 NE 5TH AVE",
    ],
)
def test_personal_data_are_found_and_not_repeated(text: str) -> None:
    problem = find(PersonalData(), data_of([*support_rows(70), (text, "Thanks.")]))
    assert problem is not None
    assert problem.lines == (71,)
    assert len((problem.example or "").split("...")[0]) <= 4


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "order 1234567890123456",
        "2015-07-29 to 2018-01-29",
        "12345-6789",
        "$1,234,567.89",
        "+5 points, +10 more, 1 + 2 + 3 + 4 + 5 + 6 + 7",
        "version 1.2.3.4, 10.0.0.1",
        "@anonymous and @someone",
        "3.14159265358979",
        "pages 100 200 300 400",
        "+1 2 3 4 5 6 7 8 9 10",
    ],
)
def test_numbers_of_other_kinds_are_none(text: str) -> None:
    assert lines_with(PersonalData(), [(text, text)]) == ()


def test_prices_hold_neither() -> None:
    assert find(Secrets(), real_data()) is None
    assert find(PersonalData(), real_data()) is None
