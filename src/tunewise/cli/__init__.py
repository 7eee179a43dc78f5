"""The command line: one file per verb, registered below. `main` is what the `tunewise` script calls.

Verbs import what they need when they are called, so that `--help` and a typing error answer at once.
"""

from __future__ import annotations

import signal
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tunewise.cli import (
    advise,
    chat,
    check,
    decide,
    demo,
    evaluate,
    export,
    models,
    review,
    run,
    runs,
    serve,
    tokens,
    train,
)
from tunewise.cli.exit_codes import INTERRUPTED
from tunewise.errors import TunewiseError


class _Verbs(TyperGroup):
    """Turns what a verb raises into one line on stderr and an exit code; a bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TunewiseError as error:
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            typer.echo("interrupted: the same command takes up where this one stopped", err=True)
            raise typer.Exit(INTERRUPTED) from None


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tunewise {version('tunewise')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Verbs,
    help="Should I fine-tune, or is a better prompt enough? Answered by measurement on your own examples.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(epilog=advise.EXAMPLE)(advise.advise)
app.command(epilog=check.EXAMPLE)(check.check)
app.command(epilog=review.EXAMPLE)(review.review)
app.command(epilog=run.EXAMPLE)(run.run)
app.command(epilog=decide.EXAMPLE)(decide.decide)
app.command(epilog=train.EXAMPLE)(train.train)
app.command(epilog=demo.EXAMPLE)(demo.demo)
app.command(epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command(epilog=tokens.EXAMPLE)(tokens.tokens)
app.command(epilog=serve.EXAMPLE)(serve.serve)
app.command(epilog=chat.EXAMPLE)(chat.chat)
app.command(epilog=export.EXAMPLE)(export.export)
app.add_typer(models.app, name="models")
app.add_typer(runs.app, name="runs")


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Say which tunewise.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line in `sys.argv`. Exits 0 done, 1 unusable request, 2 usage, 3 interrupted."""
    # What `kill` and a machine that shuts down send is to end a run as cleanly as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
