"""What an instruction may say: the user's words, the form of the answers in words, or that form enforced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.data.forms import infer_answer_form
from tunewise.records import Example, Grammar


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to tell a model what to do."""

    instruction: str | None
    grammar: Grammar | None = None
    """What the answer has to look like, as `ChatRequest` has it."""
    note: str = ""
    """What is special about it."""
    from_answers: bool = False
    """Whether it is made from training answers too, some of which it may repeat, such as labels."""


def list_wordings(train: Sequence[Example], instruction: str | None) -> list[Wording]:
    """The ways that are worth trying, the plainest first; at least one.

    The instruction, if there is one; then the same with a sentence on the form that the answers of `train`
    have, as `data.forms` infers it; then with the engine held to that form.
    """
    wordings = [Wording(instruction)] if instruction else []
    # Functions have schemas of their own, and a call is no text.
    calls = any(example.tools for example in train)
    form = None if calls else infer_answer_form([example.answer for example in train])
    if form is not None:
        said = "\n\n".join(text for text in (instruction, form.instruction()) if text)
        wordings.append(Wording(said, None, "form told", from_answers=True))
        if (grammar := form.grammar()) is not None:
            wordings.append(Wording(said, grammar, "form enforced", from_answers=True))
    return wordings or [Wording(None)]
