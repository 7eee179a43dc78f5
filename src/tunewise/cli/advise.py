"""`tunewise advise`: half a dozen questions for somebody who has no data yet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tunewise.cli.output import Json, print_json

if TYPE_CHECKING:
    from tunewise.decide.advice import Advice

EXAMPLE = "Example: tunewise advise --lacking form --examples 120 --agreement always --prompting usable"

_QUESTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "prompting": (
        "What does a careful prompt, with a few examples in it, give today?",
        {
            "not-tried": "nobody has tried",
            "bad": "answers that cannot be used",
            "usable": "often right, not often enough",
            "good": "nearly always right",
        },
    ),
    "lacking": (
        "What do the model's answers lack?",
        {
            "form": "the right form: format, labels, length, tone",
            "facts": "facts: things that it does not know",
            "both": "both",
        },
    ),
    "documents": (
        "Is what it does not know written down somewhere (manuals, pages, records)?",
        {"yes": "yes", "no": "no, or only in people's heads"},
    ),
    "changes": (
        "Do right answers change within months?",
        {"no": "hardly ever", "yes": "yes: prices, stock, policies ..."},
    ),
    "agreement": (
        "Would two people who know the task give the same answer?",
        {"always": "nearly always", "mostly": "mostly", "often-not": "often not"},
    ),
}


def advise(
    lacking: Annotated[
        Literal["form", "facts", "both"] | None, typer.Option(help="What the model's answers lack.")
    ] = None,
    documents: Annotated[
        Literal["yes", "no"] | None,
        typer.Option(help="Whether the facts that it lacks are written down; asked only if it lacks some."),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(min=0, help="How many questions with their right answers you have or can get soon."),
    ] = None,
    agreement: Annotated[
        Literal["always", "mostly", "often-not"] | None,
        typer.Option(help="Whether two people who know the task give the same answer."),
    ] = None,
    prompting: Annotated[
        Literal["not-tried", "bad", "usable", "good"] | None,
        typer.Option(help="What a careful prompt with a few examples gives today."),
    ] = None,
    changes: Annotated[
        Literal["yes", "no"] | None, typer.Option(help="Whether right answers change within months.")
    ] = None,
    json: Json = False,
) -> None:
    """What to do before there is anything to measure: prompt, retrieve, fine-tune or collect data?

    Asks what the options do not say, half a dozen questions in all, and answers in the words of the verdict.
    It is advice from what you say; `tunewise run` measures.
    """
    from dataclasses import asdict

    from tunewise.decide.advice import Situation
    from tunewise.decide.advice import advise as find_advice

    given: dict[str, Any] = {
        "prompting": prompting,
        "lacking": lacking,
        "documents": documents,
        "changes": changes,
        "agreement": agreement,
    }
    _need_answers(given, examples)
    for name in _QUESTIONS:
        if name == "documents" and given["lacking"] == "form":
            given[name] = given[name] or "no"
        given[name] = given[name] or _ask(name)
    if examples is None:
        examples = _ask_number("How many questions with right answers do you have, or can you get soon?")
    situation = Situation(**{**given, "changes": given["changes"] == "yes"}, examples=examples)
    advice = find_advice(situation)
    if json:
        print_json({"situation": asdict(situation), **asdict(advice)})
        return
    _show(advice)


def _ask(name: str) -> str:
    """One of the keys of the question's answers, chosen by number."""
    question, answers = _QUESTIONS[name]
    typer.echo(f"\n{question}", err=True)
    for number, text in enumerate(answers.values(), start=1):
        typer.echo(f"  {number}  {text}", err=True)
    return list(answers)[_read_number(len(answers)) - 1]


def _ask_number(question: str) -> int:
    typer.echo(f"\n{question}", err=True)
    return _read_number()


def _read_number(most: int | None = None) -> int:
    """From 1 to `most`, or else any; asks until it gets one."""
    from rich.console import Console
    from rich.prompt import IntPrompt

    from tunewise.errors import RequestError

    choices = None if most is None else [str(number) for number in range(1, most + 1)]
    console = Console(stderr=True)
    try:
        while (number := IntPrompt.ask("  >", choices=choices, show_choices=False, console=console)) < 0:
            console.print("Please enter 0 or more")
    except EOFError:
        raise RequestError(
            "stopped before the last question: there is no advice without all answers"
        ) from None
    return number


def _need_answers(given: dict[str, Any], examples: int | None) -> None:
    """Raise `RequestError` that names all options which are missing, where there is nobody to ask."""
    from tunewise.errors import RequestError

    needless = {"documents"} if given["lacking"] == "form" else set()
    missing = [
        f"--{name} {'|'.join(_QUESTIONS[name][1])}"
        for name, answer in given.items()
        if answer is None and name not in needless
    ]
    missing += ["--examples NUMBER"] if examples is None else []
    if missing and not sys.stdin.isatty():
        raise RequestError(f"nobody is there to ask: give {', '.join(missing)}")


def _show(advice: Advice) -> None:
    typer.echo(f"\n{advice.headline}\n")
    for number, reason in enumerate(advice.reasons, start=1):
        typer.echo(f"  {number}. {reason.text}")
    typer.echo("\nWhat to do next:\n")
    for number, step in enumerate(advice.next_steps, start=1):
        typer.echo(f"  {number}. {step}")
    typer.echo("\nThis is advice from what you said. Only a measurement can tell.")
