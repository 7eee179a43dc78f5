"""`tunewise evaluate`: how well a model does on new examples, against its base."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli.data_options import Columns, Data, Encoding, Format, GroupKey, read_options
from tunewise.cli.output import Json, describe_gain, print_json, print_paragraph, print_table
from tunewise.cli.run_options import Judge, Metric, Model, name_judge

if TYPE_CHECKING:
    from tunewise.evaluating import Evaluation

EXAMPLE = "Example: tunewise evaluate prices new-examples.jsonl --scores answers.jsonl"


def evaluate(
    model: Model,
    data: Data,
    metric: Metric = None,
    judge: Judge = None,
    format: Format = None,
    columns: Columns = None,
    encoding: Encoding = None,
    group_key: GroupKey = None,
    scores: Annotated[
        Path | None,
        typer.Option(help="A new file for every answer, as scores.jsonl has them."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of the resampling tests.")] = 0,
    json: Json = False,
) -> None:
    """Measure MODEL on the examples of DATA, paired with its base.

    Examples whose inputs stand in the file that MODEL was trained on are left out. The model is asked without
    an instruction, its base with the one of the data, if there is one, and without.
    """
    from tunewise.cli.models import find_model_or_base
    from tunewise.cli.progress import RichProgress
    from tunewise.errors import RequestError
    from tunewise.evaluating import EvaluationSpec, evaluate_model
    from tunewise.settings import get_settings
    from tunewise.store.files import write_jsonl
    from tunewise.store.registry import Registry

    if scores is not None and scores.exists():
        raise RequestError(f"{scores} is there already: give a new file as --scores", param="scores")
    reading = read_options(format, columns, encoding)
    spec = EvaluationSpec(
        data=data, reading=reading, group_key=group_key, metric=metric, judge=name_judge(judge), seed=seed
    )
    evaluation = evaluate_model(
        find_model_or_base(Registry(get_settings().registry), model), spec, RichProgress()
    )
    if scores is not None:
        answers = (asdict(score) for run in evaluation.runs.values() for score in run.scores)
        write_jsonl(scores, answers)
    if json:
        print_json(evaluation.to_json())
    else:
        _show(evaluation)


def _show(evaluation: Evaluation) -> None:
    typer.echo(f"\n{evaluation.metric} of {evaluation.examples} examples, with 95% intervals\n")
    rows = []
    for result in evaluation.approaches:
        gain = evaluation.gains.get(result.name)
        by = describe_gain(gain) if gain else ""
        rows.append((result.name, f"{result.score:.1%} [{result.low:.1%}, {result.high:.1%}]", by))
    print_table(("APPROACH", "SCORE", "THE MODEL GAINS"), rows)
    if evaluation.judgement is not None:
        typer.echo()
        print_paragraph(evaluation.judgement.describe())
    typer.echo(f"\nmodel: {evaluation.model}")
