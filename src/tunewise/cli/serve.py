"""`tunewise serve`: the base and every model tuned from it, behind an OpenAI-compatible API."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.models import find_model
from tunewise.cli.run_options import Engine
from tunewise.errors import SpecError
from tunewise.settings import get_settings

if TYPE_CHECKING:
    from tunewise.models.base import BaseModel
    from tunewise.serve.wire import Model
    from tunewise.store.registry import Registry

EXAMPLE = "Example: tunewise serve --port 9000"


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 is all of them.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any free one.")] = 8000,
    base: Annotated[
        str,
        typer.Option(
            help="Serve this base and its models: embedded, a hub id, a folder, or the id of a model "
            "of which all weights were trained."
        ),
    ] = "embedded",
    engine: Engine = "local",
) -> None:
    """Serve a base and all its tuned models.

    Each answers under its own id, behind an OpenAI-compatible API, until Ctrl-C.
    """
    from tunewise.engines import open_engine
    from tunewise.serve.app import create_app
    from tunewise.serve.models import ServedModels
    from tunewise.serve.server import listen, run_server, url_of
    from tunewise.store.registry import Registry

    registry = Registry(get_settings().registry)
    source = _find_base(registry, base)
    base = source if isinstance(source, str) else source.source
    # Before the base is loaded, which may take minutes: a port in use is said at once.
    with listen(host, port) as listener:
        if engine == "vllm":
            typer.echo("connecting to vLLM; to start it takes a minute or more", err=True)
        with closing(open_engine(source, name=engine, own_thread=True)) as opened:
            _announce(url_of(listener), ServedModels(opened, registry, base).list())
            run_server(create_app(opened, registry, base=base), listener)


def _find_base(registry: Registry, name: str) -> BaseModel | str:
    """What `--base` names. Raises `SpecError` for an adapter."""
    from tunewise.models.base import canonical_source, is_whole_model, whole_model

    if not name.startswith("ft:"):
        return canonical_source(name)
    record = find_model(registry, name)
    folder = Path(record.path)
    if not is_whole_model(folder):
        raise SpecError(f"{record.id} is an adapter, which its base serves: give --base {record.base}")
    return whole_model(record.id, folder)


def _announce(url: str, models: list[Model]) -> None:
    """The newest tuned model makes the better example; the base is first in the list."""
    example = models[min(1, len(models) - 1)].id
    typer.echo(f"serving {url}/v1\n")
    for model in models:
        typer.echo(f"  {model.id}")
    typer.echo(
        f"\ncurl {url}/v1/chat/completions -H 'content-type: application/json' \\\n"
        f'  -d \'{{"model": "{example}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'\n'
    )
