"""`tunewise review`: decide about doubtful rows one after the other, in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.data_options import Columns, Data, Encoding, Format, GroupKey, read_options
from tunewise.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from tunewise.data.review import Question, Review
    from tunewise.records import Example

EXAMPLE = "Example: tunewise review examples/prices.jsonl --out prices-clean.jsonl"

_DEFAULT_CODES = ("contradiction", "format-drift")
_NARROWEST_COLUMN = 26
_LONGEST_TEXT = 2000
_KEYS = "k keep · d drop · e edit · a one for all · s skip · b back · q quit · ? help"
_HELP = """
k, d       keep, or drop, all rows that nothing was said about yet
k 2, d 1 3 keep row 2, drop the rows 1 and 3
e 2        write another answer for row 2 in the editor that EDITOR names
e 2 TEXT   the answer of row 2 is TEXT
a 2        all rows take the answer of row 2
s          skip: the same command asks again the next time
b          back: undo what was decided last
q          quit: nothing is lost, the same command goes on here
"""
_WORDS = {
    "k": "keep",
    "d": "drop",
    "e": "edit",
    "a": "all",
    "s": "skip",
    "b": "back",
    "q": "quit",
    "w": "write",
}
_SEE_CHECK = "see tunewise check, whose --drop CODE leaves rows out"
_CLOSING_KEYS = "w write · b back · q quit"


@dataclass(frozen=True, slots=True)
class Command:
    """What was typed: a key, and what it is about."""

    key: str
    numbers: tuple[int, ...] = ()
    """Of rows, counted from 1."""
    text: str = ""


def review(
    data: Data,
    out: Annotated[
        Path,
        typer.Option(help="The file to write in the end; decisions are kept beside it.", metavar="CLEAN"),
    ],
    code: Annotated[
        list[str] | None,
        typer.Option(
            help="A problem to review; can be repeated. Default: contradiction, format-drift.", metavar="CODE"
        ),
    ] = None,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    group_key: GroupKey = None,
) -> None:
    """Decide about doubtful rows of DATA, one question after the other.

    Every decision is saved as it is made: after quitting or Ctrl-C the same command goes on where it stopped.
    DATA itself stays as it is.
    """
    from rich.console import Console

    from tunewise.checking import CheckSpec, check
    from tunewise.cli.progress import RichProgress
    from tunewise.data.checks import ALL_CHECKS
    from tunewise.data.clean_file import refuse_to_overwrite, write_clean_file
    from tunewise.data.dataset import sha256_of_data
    from tunewise.data.repair import refuse_unknown_codes
    from tunewise.data.review import Review, list_questions, read_decisions, save_decisions
    from tunewise.data.sources import scan_examples

    reading = read_options(format, columns, encoding)
    refuse_unknown_codes(code or (), (each.code for each in ALL_CHECKS))
    refuse_to_overwrite(data, out)
    problems = check(CheckSpec(data=data, reading=reading, group_key=group_key), RichProgress()).problems
    # Notes are about what may well be meant: whoever wants to see them asks for their code.
    problems = tuple(each for each in problems if code or each.severity != "note")
    chosen = code or _DEFAULT_CODES
    found = [each for each in problems if each.code in chosen]
    questions = list_questions(found, scan_examples(data, reading=reading).examples)
    if not questions:
        why = (
            ""
            if not found
            else f": what was found is in rows that cannot be used, or in no row: {_SEE_CHECK}"
        )
        typer.echo(f"{data}: nothing to review ({', '.join(chosen)}){why}; nothing was written")
        return
    saved_in, sha256 = out.with_name(f"{out.name}.decisions.json"), sha256_of_data(data)
    state = Review(questions, read_decisions(saved_in, sha256))
    talk = Talk(state, Console(highlight=False))
    while talk.ask():
        save_decisions(saved_in, sha256, state.decisions)
    if not talk.finished:
        typer.echo(
            f"{state.num_open} of {len(questions)} questions are open: the same command goes on with them"
        )
        raise typer.Exit(INTERRUPTED)
    typer.echo(write_clean_file(data, out, state.revise, reading).describe())


class Talk:
    """Shows each question, and does what is typed."""

    def __init__(self, review: Review, console: Console) -> None:
        self._review = review
        self._console = console
        self.finished = False
        """Whether the result is to be written."""

    def ask(self) -> bool:
        """One question and one command. False when there is no more to say."""
        question = self._review.question
        if question is None:
            return self._close()
        self._console.print(*_show(question, self._review, self._console.width), sep="\n")
        command = self._read(_KEYS)
        if command.key == "q":
            return False
        self._obey(command, question)
        return True

    def _close(self) -> bool:
        left = self._review.num_open
        skipped = f", {left} skipped, whose rows stay as they are" if left else ""
        number = len(self._review.questions)
        self._console.print(f"\n{number} question{'s' * (number != 1)}{skipped}")
        command = self._read(_CLOSING_KEYS)
        if command.key == "b":
            self._review.back()
        self.finished = command.key == "w"
        return command.key not in ("w", "q")

    def _read(self, keys: str) -> Command:
        self._console.print(keys, style="dim", markup=False)
        try:
            return parse_command(input("> "))
        except EOFError:  # Ctrl-D
            return Command("q")

    def _obey(self, command: Command, question: Question) -> None:
        from tunewise.errors import RequestError

        try:
            rows = _pick(command, question)
            self._decide(command, rows)
        except RequestError as error:
            self._console.print(str(error), style="red", markup=False)

    def _decide(self, command: Command, rows: list[Example]) -> None:
        review = self._review
        match command.key:
            case "k":
                review.keep(rows or review.undecided())
            case "d":
                review.drop(rows or review.undecided())
            case "e":
                review.edit(rows[0], command.text or _edit(review.answer(rows[0])))
            case "a":
                review.answer_all_as(rows[0])
            case "s":
                return review.skip()
            case "b":
                if not review.back():
                    self._console.print("this is the first question")
                return None
            case _:
                self._console.print(_HELP, markup=False)
                return None
        review.go_on()
        return None


def parse_command(typed: str) -> Command:
    """`d 1 3`, `d1,3`, `e 2 new answer`, `keep`: a key or its word, rows, and for an edit what follows.

    What cannot be understood asks for help.
    """
    word, rest = _split_off(typed.strip(), str.isalpha)
    key = word.lower()[:1]
    if not key or word.lower() not in (key, _WORDS.get(key)):
        return Command("?")
    if key == "e":
        number, text = _split_off(rest.lstrip(), str.isdecimal)
        return Command(key, (int(number),) if number else (), text.lstrip())
    numbers = rest.replace(",", " ").split()
    if not all(number.isdecimal() for number in numbers):
        return Command("?")
    return Command(key, tuple(map(int, numbers)))


def _split_off(text: str, belongs: Callable[[str], bool]) -> tuple[str, str]:
    start = "".join(takewhile(belongs, text))
    return start, text[len(start) :]


def _pick(command: Command, question: Question) -> list[Example]:
    """The rows that it names; none where that means all. Raises `RequestError`."""
    from tunewise.errors import RequestError

    rows = question.rows
    if wrong := [number for number in command.numbers if not 1 <= number <= len(rows)]:
        raise RequestError(f"there is no row {wrong[0]}: they are numbered 1 to {len(rows)}")
    numbers = command.numbers
    if command.key in "ea" and not numbers:
        if len(rows) > 1:
            raise RequestError(f"which row? Such as: {command.key} 1")
        numbers = (1,)
    return [rows[number - 1] for number in numbers]


def _edit(answer: str) -> str:
    """What the user makes of it in an editor. Raises `RequestError` where there is none."""
    import click

    from tunewise.errors import RequestError

    try:
        edited = click.edit(answer)
    except click.ClickException as error:
        raise RequestError(f"{error.format_message()}: set EDITOR, or type the answer: e 1 TEXT") from None
    if edited is None:
        raise RequestError("the answer was not saved, and stays as it was")
    return edited if answer.endswith("\n") else edited.removesuffix("\n")


def _show(question: Question, review: Review, width: int) -> Iterator[RenderableType]:
    """The question as it stands: its input once where all rows share it, then the rows side by side."""
    from rich.rule import Rule
    from rich.text import Text

    place = review.place + 1
    yield Rule(f"{place} of {len(review.questions)} · {question.code}", align="left")
    yield Text(_printable(question.message), style="dim")
    shared = len({row.prompt for row in question.rows}) == 1
    if shared:
        yield from _show_prompt(question.rows[0])
    columns = len(question.rows) * _NARROWEST_COLUMN <= width
    for rows in [question.rows] if columns else [[row] for row in question.rows]:
        yield _lay_out(rows, question, review, shared=shared)


def _lay_out(rows: Sequence[Example], question: Question, review: Review, *, shared: bool) -> Table:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(expand=True)
    cells = []
    for row in rows:
        decision = review.decision(row)
        state = (
            {"keep": " · kept", "drop": " · dropped", "edit": " · edited"}[decision.action]
            if decision
            else ""
        )
        number = question.rows.index(row) + 1
        table.add_column(f"{number} · line {row.line}{state}", ratio=1, overflow="fold")
        struck = "strike dim" if decision and decision.action == "drop" else ""
        answer = Text(_printable(review.answer(row)), style=struck or "bold")
        cells.append(answer if shared else Group(*_show_prompt(row), answer))
    table.add_row(*cells)
    return table


def _show_prompt(row: Example) -> Iterator[RenderableType]:
    from rich.text import Text

    for turn in row.prompt:
        yield Text.assemble((f"{turn.role}: ", "cyan"), _printable(turn.content))


def _printable(text: str) -> str:
    """As much of it as one wants to read, with nothing that a terminal would obey."""
    from tunewise.report.wording import shorten, visible

    return visible(shorten(text, _LONGEST_TEXT))
