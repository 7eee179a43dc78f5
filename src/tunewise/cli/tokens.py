"""`tunewise tokens`: one row of the data, token by token, as it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.data_options import Columns, Data, Encoding, Format, read_options
from tunewise.cli.output import Json, print_json, printable
from tunewise.cli.run_options import read_instructions

if TYPE_CHECKING:
    from tunewise.data.reading import Reading
    from tunewise.records import Example

EXAMPLE = "Example: tunewise tokens examples/prices.jsonl --row 3"

_SIGNS = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "␍"}
_BOUNDARY = "│"
_OPEN, _CLOSE = "⟦", "⟧"


def tokens(
    data: Data,
    row: Annotated[int, typer.Option(min=1, help="The line of the file, counted from 1, as errors name it.")],
    base: Annotated[
        str, typer.Option(help="The model whose tokens and chat template: embedded, a hub id or a folder.")
    ] = "embedded",
    with_instructions: Annotated[
        bool,
        typer.Option(
            "--with-instructions",
            help="The row as it is trained when it is drawn to keep its system message.",
        ),
    ] = False,
    instructions: Annotated[
        Path | None,
        typer.Option(help="A text file: the instruction of a row without a system message of its own."),
    ] = None,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    json: Json = False,
) -> None:
    """Which tokens of a row are trained, and what does the model see before them?

    Shows every token that training computes, by the same function. Those that the model learns to write are
    green, all others are context. Without a terminal, or with NO_COLOR set, the learned ones stand between
    double brackets. A bar ends a token, a dot is a space and an arrow a line break or tab.

    Functions stand where the model's template puts them; where it knows none, they are spelled out in the
    system message, in training and in serving alike.
    """
    example = _find_row(data, row, read_options(format, columns, encoding))
    instruction = None
    if with_instructions or instructions is not None:
        instruction = _choose_instruction(example, instructions, data)
    shown = _show_row(example, instruction, base, data)
    if json:
        print_json(asdict(shown))
    else:
        _print_row(shown)


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token of a row. Half a character is written as its bytes."""

    id: int
    text: str
    trained: bool


@dataclass(frozen=True, slots=True)
class ShownRow:
    """What `--json` prints."""

    line: int
    example: str
    instruction: str | None
    tools_spelled_out: bool
    """The row has functions, and the template knows none."""
    num_tokens: int
    num_trained: int
    num_context: int
    max_tokens: int
    """The longest row that is trained on."""
    tokens: tuple[ShownToken, ...]


def render_tokens(shown: Sequence[ShownToken], *, coloured: bool) -> str:
    """All tokens, with a line break behind each that ends with one."""
    pieces: list[str] = []
    for index, token in enumerate(shown):
        follower = shown[index + 1] if index + 1 < len(shown) else None
        before = _OPEN if token.trained and not (index and shown[index - 1].trained) else ""
        after = _CLOSE if token.trained and not (follower and follower.trained) else ""
        text = _visible(token.text)
        if coloured:
            before = after = ""
            text = typer.style(text, fg="green", bold=True) if token.trained else typer.style(text, dim=True)
        boundary = _BOUNDARY if follower and not after else ""
        line_break = "\n" if token.text.endswith("\n") and follower else ""
        pieces.append(f"{before}{text}{after}{boundary}{line_break}")
    return "".join(pieces)


def _visible(text: str) -> str:
    return "".join(_SIGNS.get(c) or printable(c) for c in text)


def _find_row(data: Path, line: int, reading: Reading) -> Example:
    from tunewise.data.sources import read_examples
    from tunewise.errors import RequestError

    by_line = {example.line: example for example in read_examples(data, reading=reading)}
    if line not in by_line:
        lines = f"on the lines {min(by_line)} to {max(by_line)}"
        raise RequestError(f"there is no row on line {line}: {data} has {len(by_line)} rows, {lines}")
    return by_line[line]


def _choose_instruction(example: Example, instructions: Path | None, data: Path) -> str | None:
    from tunewise.errors import RequestError
    from tunewise.train.rows import instruction_of

    instruction = instruction_of(example, read_instructions(instructions))
    if instruction is None and not example.own_system:
        raise RequestError(f"{data}:{example.line}: this row has no system message: give --instructions FILE")
    return instruction


def _show_row(example: Example, instruction: str | None, base: str, data: Path) -> ShownRow:
    from tunewise.chat.template import ChatTemplateError
    from tunewise.engines.logprobs import TokenSpelling
    from tunewise.errors import DataError
    from tunewise.models.base import find_base, load_tokenizer
    from tunewise.train.rows import encode_row, training_template
    from tunewise.train.spec import TrainSpec

    tokenizer = load_tokenizer(find_base(base))
    template = training_template(tokenizer)
    try:
        row = encode_row(template, example, instruction)
    except ChatTemplateError as error:
        raise DataError(data, str(error), line=example.line) from None
    spelling = TokenSpelling(tokenizer)
    texts = (spelling.bytes_of(token).decode(errors="backslashreplace") for token in row.ids)
    num_trained = sum(row.trained)
    return ShownRow(
        line=example.line,
        example=example.id,
        instruction=instruction,
        tools_spelled_out=bool(example.tools) and not template.knows_tools,
        num_tokens=len(row.ids),
        num_trained=num_trained,
        num_context=len(row.ids) - num_trained,
        max_tokens=TrainSpec().max_tokens,
        tokens=tuple(ShownToken(*token) for token in zip(row.ids, texts, row.trained, strict=True)),
    )


def _print_row(shown: ShownRow) -> None:
    from rich.console import Console

    console = Console()
    coloured = console.is_terminal and not console.no_color
    typer.echo(render_tokens(shown.tokens, coloured=coloured), color=coloured)
    typer.echo(f"\n{shown.num_tokens} tokens: {shown.num_trained} trained, {shown.num_context} context")
    if shown.tools_spelled_out:
        typer.echo("functions are spelled out: this model's chat template knows none")
    if shown.num_tokens > shown.max_tokens:
        typer.echo(f"too long: training takes rows of up to {shown.max_tokens} tokens")
