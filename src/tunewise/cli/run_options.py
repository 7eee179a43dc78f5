"""What several verbs that train or measure models ask for, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="A model id, its suffix or its last part; or a base: embedded, a hub id, a folder.",
        metavar="MODEL",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the results; the same run started again goes on there. Default: runs/DATA."
    ),
]
Engine = Annotated[
    Literal["local", "vllm"],
    typer.Option(help="What asks the models: tunewise itself, or the vLLM server that TUNEWISE_VLLM names."),
]
MaxMinutes = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="Leave out what does not fit into so many minutes, and say what before the start: first rivals "
        "that others make up for, then passes of training; never test examples.",
    ),
]
CallsPerMonth = Annotated[
    float | None,
    typer.Option(min=1, help="How often the model will be asked. Without it, savings decide nothing."),
]
Metric = Annotated[
    str | None,
    typer.Option(
        help="The metric that counts: exact_match, json_field_accuracy, chrf ... (docs/metrics.md), or "
        "your own (answer, expected) -> 0 to 1 as module.py:function. Default: what fits the answers."
    ),
]
Judge = Annotated[
    str | None,
    typer.Option(
        help="For free texts: a model (embedded, a hub id, a folder, a tuned one) that says which of two "
        "answers is better; it is asked in both orders.",
        metavar="MODEL",
    ),
]


def name_judge(name: str | None) -> str | None:
    """The id of the tuned model, or the base, that `name` names. Raises `TunewiseError` for none."""
    from tunewise.cli.models import find_model_or_base
    from tunewise.evaluate.judge import check_judge
    from tunewise.settings import get_settings
    from tunewise.store.registry import Registry

    if name is None:
        return None
    found = find_model_or_base(Registry(get_settings().registry), check_judge(name))
    return found if isinstance(found, str) else found.id


def read_instructions(path: Path | None) -> str | None:
    """The instruction in a text file. Raises `RequestError` when it cannot be read or is empty."""
    from tunewise.errors import RequestError

    if path is None:
        return None
    try:
        text = path.read_text("utf-8-sig").strip()
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}", param="instructions") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is no UTF-8 text: save it as such", param="instructions") from error
    if not text:
        raise RequestError(f"{path} is empty: write the instruction into it", param="instructions")
    return text


def default_suffix(data: Path) -> str:
    """The data file's name, as far as it can stand in a model id."""
    name = "".join(
        c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in data.name.partition(".")[0]
    )
    return name.strip("-_")[:64] or "tuned"
