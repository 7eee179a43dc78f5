"""All checks, in the order of the table in `docs/checks.md`. A new one is a file here and a line below."""

from __future__ import annotations

from tunewise.data.checks.amounts import TooFew
from tunewise.data.checks.answers import Boilerplate, EchoesInput, TruncatedAnswers
from tunewise.data.checks.base import Check
from tunewise.data.checks.characters import ControlCharacters, HtmlEntities, Mojibake, StraySpace
from tunewise.data.checks.exact_duplicates import ExactDuplicates
from tunewise.data.checks.instructions import InstructionDrift
from tunewise.data.checks.label_balance import Imbalance, RareLabels, TooFewPerLabel
from tunewise.data.checks.languages import MixedLanguages
from tunewise.data.checks.lengths import LengthOutliers, TooLong
from tunewise.data.checks.privacy import PersonalData, Secrets
from tunewise.data.checks.rejected_rows import REJECTED_ROWS

ALL_CHECKS: tuple[Check, ...] = (
    *REJECTED_ROWS,
    ExactDuplicates(),
    StraySpace(),
    HtmlEntities(),
    Mojibake(),
    ControlCharacters(),
    MixedLanguages(),
    Imbalance(),
    RareLabels(),
    EchoesInput(),
    Boilerplate(),
    TruncatedAnswers(),
    LengthOutliers(),
    TooLong(),
    InstructionDrift(),
    Secrets(),
    PersonalData(),
    TooFew(),
    TooFewPerLabel(),
)
