"""`tunewise demo`: the whole way on the bundled example, ending with a question to the deployed model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tunewise.errors import ModelUnavailableError

EXAMPLE = "Example: tunewise demo --out runs/demo"
QUESTION = "£1,299.00 inc. VAT"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="As for run.")] = 0,
) -> None:
    """Run on the bundled price examples, end to end, and ask the deployed model a question.

    1,178 real price texts from web shops, to be turned into JSON; takes some minutes on a laptop.
    """
    from tunewise import pipeline
    from tunewise.cli.progress import RichProgress
    from tunewise.cli.run import show_verdict
    from tunewise.run_spec import RunSpec

    spec = RunSpec(data=bundled_examples(), suffix="prices", seed=seed)
    verdict = pipeline.run(spec, out, RichProgress())
    show_verdict(verdict, out, as_json=False)
    if verdict.model is not None:
        answer = ask_over_the_api(verdict.model, QUESTION)
        typer.echo(f"\nasked over the API, as any OpenAI client would:\n  {QUESTION}\n  {answer}")


def bundled_examples() -> Path:
    """The price examples, in an installed package or in a checkout."""
    import tunewise

    package = Path(tunewise.__file__).parent
    for folder in (package, package.parents[1]):
        if (path := folder / "examples" / "prices.jsonl").is_file():
            return path
    raise ModelUnavailableError("the bundled examples are missing: reinstall tunewise")


def ask_over_the_api(model: str, question: str) -> str:
    """Serve on a free local port, ask `model` through the official client, and stop serving."""
    from contextlib import closing

    from openai import OpenAI

    from tunewise.engines import open_engine
    from tunewise.serve.app import create_app
    from tunewise.serve.server import background_server
    from tunewise.settings import get_settings
    from tunewise.store.registry import Registry

    with (
        closing(open_engine(own_thread=True)) as engine,
        background_server(create_app(engine, Registry(get_settings().registry))) as url,
        OpenAI(base_url=url, api_key="not-needed") as client,
    ):
        reply = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], temperature=0
        )
    return reply.choices[0].message.content or ""
