from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewise.approaches.base import APPROACHES
from tunewise.errors import SpecError
from tunewise.run_spec import RunSpec, parse_approaches


def test_the_runs_seed_is_the_trainings_seed() -> None:
    assert RunSpec(data=Path("x"), seed=7).train_spec.seed == 7


def test_approaches_run_in_their_own_order_whatever_order_they_are_asked_in() -> None:
    assert parse_approaches("fine-tuned, majority") == ("majority", "fine-tuned")
    assert parse_approaches(",".join(APPROACHES), Path("docs")) == APPROACHES


@pytest.mark.parametrize("text", ["", "magic", "few-shot,magic"])
def test_an_unknown_approach_is_named_with_what_there_is(text: str) -> None:
    with pytest.raises(SpecError, match="choose from majority"):
        parse_approaches(text)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        RunSpec(data=Path("x"), sede=1)  # type: ignore[call-arg]


def test_retrieval_runs_where_there_are_documents_and_is_refused_without() -> None:
    data, docs = Path("rows.jsonl"), Path("manual.md")
    assert "rag" in RunSpec(data=data, docs=docs).approaches
    assert "rag" not in RunSpec(data=data).approaches
    with pytest.raises(SpecError, match="--docs"):
        parse_approaches("rag, few-shot")
    with pytest.raises(ValidationError, match="--docs"):
        RunSpec(data=data, approaches=("rag",))
