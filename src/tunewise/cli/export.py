"""`tunewise export`: a model as files for other programs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli.models import find_model_or_base
from tunewise.cli.output import Json, print_json, print_table
from tunewise.cli.run_options import Model
from tunewise.records import ExportFormat
from tunewise.settings import get_settings

EXAMPLE = "Example: tunewise export prices --format gguf --out prices-gguf"


def export(
    model: Model,
    file_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="peft: the adapter. safetensors: one model for transformers. gguf: for llama.cpp, in F16.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A folder for the files, new or empty.")],
    merge: Annotated[
        bool, typer.Option(help="gguf: one file with the adapter merged in, or base and adapter apart.")
    ] = True,
    verify: Annotated[
        bool, typer.Option(help="gguf: compare the files, in llama.cpp, with the model before keeping them.")
    ] = True,
    json: Json = False,
) -> None:
    """Write a model as files that other programs read.

    A GGUF export is kept only if llama.cpp answers with it as this engine does with the model.
    """
    from tunewise.cli.progress import RichProgress
    from tunewise.export.bundle import export_model
    from tunewise.export.source import find_source
    from tunewise.store.registry import Registry

    source = find_source(find_model_or_base(Registry(get_settings().registry), model))
    done = export_model(source, file_format, out, merge=merge, verify=verify, progress=RichProgress())
    if json:
        print_json(asdict(done))
        return
    print_table(
        ("FILE", "BYTES", "SHA-256"), [(file.path, str(file.bytes), file.sha256) for file in done.files]
    )
