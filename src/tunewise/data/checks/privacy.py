"""What must not get into a model's weights: keys and passwords, and data of people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from stdnum import iban, luhn
from stdnum.us import ssn

from tunewise.data.checks.base import Severity
from tunewise.data.checks.passages import Locator, PassageCheck, Span


class _NewerTokens(RegexBasedDetector):
    """Of services whose tokens detect-secrets does not know, or knows in an older form."""

    secret_type = "token"
    denylist = (
        re.compile(r"\bsk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{20,}"),
        re.compile(r"\bgithub_pat_[A-Za-z0-9_]{22,}"),
        re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
        re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
        re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    )


class _NamedSecrets(RegexBasedDetector):
    """Whatever is called a key or a password and looks drawn at random: letters and digits both."""

    secret_type = "named secret"
    denylist = (
        re.compile(
            r"(?i:api[ _-]?key|secret(?:[ _-]?(?:access)?[ _-]?key)?|access[ _-]?token|auth[ _-]?token"
            r"|passw(?:or)?d)"
            r"[\"']?\s{0,3}(?:=|:|\bis\b)\s{0,3}[\"']?"
            r"((?=[^\s\"']{0,40}\d)(?=[^\s\"']{0,40}[A-Za-z])[A-Za-z0-9!@#$%^&*+/_.~-]{8,})"
        ),
    )


class _UrlPasswords(RegexBasedDetector):
    """Of addresses such as `https://user:hunter2@host`, where no placeholder stands in its stead."""

    secret_type = "password in a URL"
    denylist = (
        re.compile(r"://[^\s/:@]{1,64}:((?!(?i:passw|pwd|pass@|secret@|x{3})|[*<{$\[.])[^\s/:@]{3,64})@"),
    )


# As they are written: lowering the case of all text would take longer than looking for all of these.
_SECRET_NAMES = (
    "passw", "Passw", "PASSW", "secret", "Secret", "SECRET", "api_key", "api key", "api-key", "apikey",
    "apiKey", "API key", "API Key", "API_KEY", "ApiKey", "access_token", "access token", "accessToken",
    "ACCESS_TOKEN", "auth_token", "auth token", "authToken", "AUTH_TOKEN",
)  # fmt: skip
# Each with what its secrets have beside or in them: a search for plain strings is much faster than patterns.
# Of detect-secrets, those with a shape of their own; others guess by entropy, or by words that prose uses.
_DETECTORS: tuple[tuple[tuple[str, ...], RegexBasedDetector], ...] = (
    (("AKIA", "ASIA", "ABIA", "A3T", "aws", "AWS"), AWSKeyDetector()),
    (("AccountKey=",), AzureStorageKeyDetector()),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), GitHubTokenDetector()),
    (("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glptt-", "glagent-", "gloas-", "glcbt-",
      "glimt-", "GR1348941"), GitLabTokenDetector()),
    (("eyJ",), JwtTokenDetector()),
    (("_authToken",), NpmDetector()),
    (("T3BlbkFJ",), OpenAIDetector()),
    (("PRIVATE KEY", "PuTTY-User-Key-File-2"), PrivateKeyDetector()),
    (("pypi-AgE",), PypiTokenDetector()),
    (("SG.",), SendGridDetector()),
    (("xox", "hooks.slack.com"), SlackDetector()),
    (("sq0csp-",), SquareOAuthDetector()),
    (("k_live_",), StripeDetector()),
    ((":AA",), TelegramBotTokenDetector()),
    (("sk-", "github_pat_", "hf_", "AIza", "k_live_", "k_test_"), _NewerTokens()),
    (_SECRET_NAMES, _NamedSecrets()),
    (("://",), _UrlPasswords()),
)  # fmt: skip
_EMAIL = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"
)
# In the international form (8 to 15 digits by E.164, not one by one), or the North American one with its
# three parts set apart.
_PHONE = re.compile(
    r"(?<![\w+])\+(?!(?:\d[ .-]){4})[1-9](?:[ .-]?\(?\d\)?){7,14}(?!\w)"
    r"|(?<![\w.$€£-])(?:1[ .-])?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([ .-]))"
    r"[2-9]\d{2}(?(1)\1|[ .-])\d{4}(?![\w-]|\.\d)"
)
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-]|\.\d)"
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
# Personal data other than addresses of e-mail hold so many digits in a row, give or take a separator.
_NUMBERS = re.compile(
    r"\d[ ().-]{0,3}\d[ ().-]{0,3}\d[ ().-]{0,3}\d[ ().-]{0,3}\d[ ().-]{0,3}\d[ ().-]{0,3}\d[ ().-]{0,3}\d"
)
_SHOWN_CHARACTERS = 4


class Secrets(PassageCheck):
    """Credentials: the patterns of detect-secrets, and of services that are newer than it."""

    code = "secret"
    severity: Severity = "error"
    finds = "keys, tokens, passwords and private keys"
    why = "Whoever may ask the model can have it say what it learned by heart, and a key is worth that."
    advice = "holds what looks like a secret: remove it, and have it revoked if it is real"

    def locators(self, block: str) -> Sequence[Locator]:
        """Those detectors whose marks are there."""
        return [
            partial(_locate_secret, detector)
            for marks, detector in _DETECTORS
            if any(mark in block for mark in marks)
        ]

    def show(self, text: str, span: Span) -> str:
        """Only how it begins: a report must not spread what it warns of."""
        return _mask(text[slice(*span)])


class PersonalData(PassageCheck):
    """E-mail addresses, phone, card, account and social security numbers, by their shape and check digits.

    Names and postal addresses have no shape to know them by, and are not looked for.
    """

    code = "personal-data"
    severity: Severity = "warning"
    finds = "e-mail addresses, phone numbers, card and account numbers, US social security numbers"
    why = "A model may repeat it to anybody, and it cannot be taken out again without training anew."
    advice = "holds what looks like personal data: replace it by a made-up value, or remove the row"

    def locators(self, block: str) -> Sequence[Locator]:
        """An at sign, or a long number."""
        locators: list[Locator] = [_locate_email] if "@" in block else []
        return [*locators, _locate_number] if _NUMBERS.search(block) else locators

    def show(self, text: str, span: Span) -> str:
        """Only how it begins."""
        return _mask(text[slice(*span)])


def _locate_secret(detector: RegexBasedDetector, text: str) -> Span | None:
    for pattern in detector.denylist:
        for match in pattern.finditer(text):
            # Some detectors look closer, and many yield only a part of what they found.
            if any(True for _ in detector.analyze_string(match[0])):
                return match.span()
    return None


def _locate_email(text: str) -> Span | None:
    match = _EMAIL.search(text) if "@" in text else None
    return match.span() if match else None


def _locate_number(text: str) -> Span | None:
    if _NUMBERS.search(text):
        for pattern, is_valid in _NUMBERED:
            match = pattern.search(text)
            while match:
                if is_valid(match[0]):
                    return match.span()
                # A number before it may have been taken for its beginning.
                match = pattern.search(text, match.start() + 1)
    return None


def _mask(value: str) -> str:
    return f"{value[:_SHOWN_CHARACTERS]}... ({len(value)} characters)"


def _is_card(number: str) -> bool:
    digits = "".join(filter(str.isdigit, number))
    return len(set(digits)) > 1 and bool(luhn.is_valid(digits))


def _begins_with_iban(text: str) -> bool:
    """Words in capitals may follow it."""
    groups = text.split(" ")
    return any(iban.is_valid(" ".join(groups[:number])) for number in range(1, len(groups) + 1))


# A phone number has no check digit: its pattern says all.
_NUMBERED = ((_PHONE, bool), (_CARD, _is_card), (_IBAN, _begins_with_iban), (_SSN, ssn.is_valid))
