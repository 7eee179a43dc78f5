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


URL = "http://localhost:1/v1"


def test_remote_rivals_run_after_the_prompts_of_the_base() -> None:
    text = "fine-tuned, remote:gpt-x, majority, remote:org/m.2:free"
    expected = ("majority", "remote:gpt-x", "remote:org/m.2:free", "fine-tuned")
    assert parse_approaches(text, remote_url=URL) == expected
    spec = RunSpec(data=Path("x"), approaches=expected, remote_url=URL)
    assert spec.remotes == expected[1:3]
    assert RunSpec(**spec.model_dump()) == spec


def test_no_rival_is_remote_unless_it_is_named() -> None:
    spec = RunSpec(data=Path("x"), remote_url=URL)
    assert (spec.remotes, spec.remote_url) == ((), None)


@pytest.mark.parametrize("name", ["remote:", "remote: x", "remote:a b", "remote:a\nb", "remote"])
def test_a_remote_rival_needs_the_name_of_a_model(name: str) -> None:
    with pytest.raises(SpecError, match="remote:MODEL"):
        parse_approaches(f"majority,{name}", remote_url=URL)
    with pytest.raises(ValidationError):
        RunSpec(data=Path("x"), approaches=(name,), remote_url=URL)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (None, "set TUNEWISE_REMOTE_URL"),
        ("localhost", "no http"),
        ("http://me:s3cret@host", "leave them out"),
    ],
)
def test_a_remote_rival_needs_an_address_and_no_error_repeats_a_password(
    url: str | None, problem: str
) -> None:
    with pytest.raises(SpecError, match=problem):
        parse_approaches("remote:gpt-x", remote_url=url)
    with pytest.raises(ValidationError, match=problem) as caught:
        RunSpec(data=Path("x"), approaches=("remote:gpt-x",), remote_url=url)
    assert "s3cret" not in str(caught.value)


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
