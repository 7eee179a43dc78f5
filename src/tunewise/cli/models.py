"""`tunewise models`: the tuned models on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.output import Json, local_time, print_fields, print_json, print_table
from tunewise.errors import ModelNotFoundError
from tunewise.records import ModelRecord
from tunewise.settings import get_settings

if TYPE_CHECKING:
    from tunewise.store.registry import Registry

app = typer.Typer(help="The tuned models on this machine.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list", epilog="Example: tunewise models list --json")
def list_models(json: Json = False) -> None:
    """List the models, newest first. All of them can be asked, whatever their state."""
    from tunewise.store.registry import Registry

    records = Registry(get_settings().registry).models()
    if json:
        print_json([asdict(record) for record in records])
    elif records:
        rows = [(record.id, record.state, record.base, local_time(record.created_at)) for record in records]
        print_table(("MODEL", "STATE", "BASE", "CREATED"), rows)
    else:
        typer.echo("no models yet: `tunewise run DATA` trains one", err=True)


@app.command("show", epilog="Example: tunewise models show prices")
def show_model(
    model: Annotated[str, typer.Argument(help="A model id, its suffix, or its last part.")],
    json: Json = False,
) -> None:
    """Show what is known about one model."""
    from tunewise.store.registry import Registry

    record = find_model(Registry(get_settings().registry), model)
    if json:
        print_json(asdict(record))
        return
    metrics = {name: f"{value:.4g}" for name, value in record.metrics.items()}
    print_fields(
        {
            "id": record.id,
            "state": f"{record.state} ({record.state_reason})",
            "base": record.base,
            "files": record.path,
            "run": record.run,
            "created": local_time(record.created_at),
            **metrics,
        }
    )


def find_model(registry: Registry, name: str) -> ModelRecord:
    """The model whose id is `name`, or the only one whose suffix or last part is.

    Of several that one run left, as it trains with documents and without, the one that is deployed. Raises
    `ModelNotFoundError`, also where the short form does not settle it.
    """
    short = [record for record in registry.models() if name in record.id.split(":")[-2:]]
    deployed = [record for record in short if record.state == "deployed"]
    if len(deployed) == 1 and len({record.run for record in short}) == 1:
        return deployed[0]
    if len(short) > 1:
        ids = ", ".join(record.id for record in short)
        raise ModelNotFoundError(f"several models are called {name!r}: give the id, one of {ids}")
    return short[0] if short else registry.model(name)


def find_model_or_base(registry: Registry, name: str) -> ModelRecord | str:
    """The tuned model that `find_model` finds, or else the base that `name` names, as `--base` would.

    Raises `ModelNotFoundError` for what can be neither.
    """
    from tunewise.models.embedded import EMBEDDED, EMBEDDED_NAME

    try:
        return find_model(registry, name)
    except ModelNotFoundError as error:
        if name in (EMBEDDED, EMBEDDED_NAME):
            return EMBEDDED
        if name.startswith("ft:"):
            raise
        if "/" in name or Path(name).is_dir():
            return name
        raise ModelNotFoundError(
            f"{error}; a base is called embedded, by its hub id such as org/name, or by its folder"
        ) from None
