"""`tunewise train`: the training stage alone, from a file of examples to a model that can be asked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewise.cli.data_options import Columns, Data, Encoding, Format, GroupKey, Validation, read_options
from tunewise.cli.output import Json, print_json
from tunewise.cli.run_options import Out, default_suffix
from tunewise.settings import get_settings

if TYPE_CHECKING:
    from tunewise.records import ModelRecord
    from tunewise.run_spec import TuneSpec

EXAMPLE = "Example: tunewise train examples/prices.jsonl --tuning lora --rank 8 --out runs/prices-r8"

_AUTO = "A number, or auto."


def train(
    data: Data,
    base: Annotated[
        str | None,
        typer.Option(help="The model to tune: embedded (the default), a hub id or a folder."),
    ] = None,
    tuning: Annotated[
        str | None,
        typer.Option(help="lora (the default): an adapter. full: all weights. scratch: from random ones."),
    ] = None,
    out: Out = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="Go on from this tuned model: its id, its suffix, or its last part."),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(help="A TOML file with any fields of the training's spec; options come over it."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, help="The same seed gives the same weights.")
    ] = 0,
    learning_rate: Annotated[str | None, typer.Option(help=f"Peak learning rate. {_AUTO}")] = None,
    epochs: Annotated[str | None, typer.Option(help=f"Passes over the examples. {_AUTO}")] = None,
    batch_size: Annotated[str | None, typer.Option(help=f"Examples per step. {_AUTO}")] = None,
    rank: Annotated[str | None, typer.Option(help=f"LoRA rank. {_AUTO}")] = None,
    alpha: Annotated[str | None, typer.Option(help=f"LoRA alpha. {_AUTO}")] = None,
    rslora: Annotated[
        bool | None, typer.Option("--rslora", help="Scale LoRA by the root of the rank.")
    ] = None,
    dropout: Annotated[str | None, typer.Option(help="LoRA dropout, 0 to 1.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="Of the learning rate: linear (the default), cosine, constant.")
    ] = None,
    max_tokens: Annotated[str | None, typer.Option(help="The longest example, in tokens.")] = None,
    instruction_share: Annotated[
        str | None,
        typer.Option(help="Share of the examples that keep their system message, 0 to 1."),
    ] = None,
    group_key: GroupKey = None,
    validation: Validation = None,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    suffix: Annotated[
        str | None, typer.Option(help="Your part of the model's id. Default: the file's name.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's events into OUT/tensorboard.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on DATA and register it.

    Nothing is measured against a prompt; `tunewise run` does that. However a training was stopped, the same
    command goes on from its last checkpoint. Writes model/ and metrics.jsonl.
    """
    from tunewise.cli.progress import RichProgress
    from tunewise.models.ids import check_suffix
    from tunewise.run_spec import TuneSpec
    from tunewise.train.spec import read_train_spec

    folder = out or Path("runs") / f"{default_suffix(data)}-train"
    options: dict[str, Any] = {
        "tuning": tuning,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "batch_size": batch_size,
        "rank": rank,
        "alpha": alpha,
        "rslora": rslora,
        "dropout": dropout,
        "schedule": schedule,
        "max_tokens": max_tokens,
        "instruction_share": instruction_share,
    }
    base, options["start"] = _find_start(start, base)
    task = TuneSpec(
        data=data,
        reading=read_options(format, columns, encoding),
        base=base,
        group_key=group_key,
        validation=validation,
        suffix=check_suffix(suffix if suffix is not None else default_suffix(data)),
        seed=seed,
        training=read_train_spec(spec, options),
    )
    from tunewise.training import tune  # After the options were checked: it brings in torch.

    watches = []
    if tensorboard:
        from tunewise.train.watch import TensorBoardWatch

        watches.append(TensorBoardWatch(folder / "tensorboard"))
    record = tune(task, folder, RichProgress(), watches=watches)
    _show(record, task, folder, as_json=json)


def _find_start(name: str | None, base: str | None) -> tuple[str, str | None]:
    """The base, and the folder of the tuned model to go on from. Raises `SpecError` if they do not belong."""
    from tunewise.cli.models import find_model
    from tunewise.errors import SpecError
    from tunewise.models.base import canonical_source
    from tunewise.models.embedded import EMBEDDED
    from tunewise.store.registry import Registry, model_folder

    if name is None:
        return canonical_source(base or EMBEDDED), None
    model = find_model(Registry(get_settings().registry), name)
    if base is not None and canonical_source(base) != model.base:
        raise SpecError(f"{model.id} was trained on {model.base}, not on {base}: leave --base out")
    return model.base, str(model_folder(model))


def _show(record: ModelRecord, task: TuneSpec, folder: Path, *, as_json: bool) -> None:
    from tunewise.store.files import read_json

    if as_json:
        training = read_json(folder / "manifest.json")["training"]
        print_json(asdict(record) | {"estimate": training["estimate"]})
        return
    typer.echo(f"\nmodel:   {record.id} ({record.state}: {record.state_reason})")
    typer.echo(f"files:   {record.path}")
    served = record.id if task.training.tuning != "lora" else record.base
    serve = "" if served == "embedded" else f" --base {served}"
    typer.echo(f"try it:  tunewise chat {record.id}\nserve:   tunewise serve{serve}")
