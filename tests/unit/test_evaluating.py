"""A model is measured on new examples, and never on what it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from toy import save_base, write_rows
from tunewise.errors import DataError, ModelUnavailableError, SpecError
from tunewise.evaluating import EvaluationSpec, evaluate_model
from tunewise.progress import SilentProgress
from tunewise.records import ModelRecord
from tunewise.run_spec import TuneSpec
from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json, write_json
from tunewise.train.spec import TrainSpec
from tunewise.training import tune


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(get_settings(), home=tmp_path / "home", organization="test", device="cpu")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "toy", context=1024)  # Judges read long prompts.


@pytest.fixture
def model(tmp_path: Path, base: Path, settings: Settings) -> ModelRecord:
    training = TrainSpec(rank=4, epochs=1, batch_size=8)
    spec = TuneSpec(
        data=write_rows(tmp_path / "rows.jsonl"), base=str(base), suffix="count", training=training
    )
    return tune(spec, tmp_path / "trained", settings=settings)


def write_new_rows(path: Path, old: Path, number: int) -> Path:
    """As many new inputs, after all old rows."""
    rows = [
        {"messages": [{"role": "user", "content": f"new {n}"}, {"role": "assistant", "content": str(n)}]}
        for n in range(number)
    ]
    path.write_text(old.read_text("utf-8") + "".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_what_the_model_was_trained_on_is_left_out_by_line(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    old = tmp_path / "rows.jsonl"
    new = write_new_rows(tmp_path / "new.jsonl", old, 12)
    evaluation = evaluate_model(model, EvaluationSpec(data=new), settings=settings)
    assert evaluation.examples == 12
    assert list(evaluation.known_lines) == list(range(1, len(old.read_text().splitlines()) + 1))
    assert [result.name for result in evaluation.approaches] == ["zero-shot", "fine-tuned"]
    assert evaluation.gains.keys() == {"zero-shot"}
    assert {len(run.scores) for run in evaluation.runs.values()} == {12}
    assert "runs" not in json.loads(json.dumps(evaluation.to_json()))


def test_a_model_that_was_trained_with_the_rows_own_system_messages_is_asked_with_them(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    """Whatever the new file by itself would be taken for."""
    rows = [
        {"system": "Count.", "prompt": f"new {number}", "completion": str(number)} for number in range(12)
    ]
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    file = Path(model.path) / "tunewise.json"
    asked = {}
    for kept in (False, True):
        manifest = read_json(file)
        write_json(file, {**manifest, "data": {**manifest["data"], "own_system": kept}})
        asked[kept] = evaluate_model(model, EvaluationSpec(data=new), settings=settings)
    as_instruction, as_input = asked[False], asked[True]
    assert [row.name for row in as_instruction.approaches] == ["zero-shot", "instructed", "fine-tuned"]
    assert [row.name for row in as_input.approaches] == ["zero-shot", "fine-tuned"]
    shorter, longer = (run.approaches[-1].input_tokens_per_call for run in (as_instruction, as_input))
    assert shorter < longer


def test_who_asks_a_model_of_passages_without_any_is_told(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    class Heard(SilentProgress):
        said = ""

        def say(self, text: str) -> None:
            self.said += f"{text}\n"

    new = write_new_rows(tmp_path / "new.jsonl", tmp_path / "rows.jsonl", 12)
    file = Path(model.path) / "tunewise.json"
    origin, plain, with_passages = read_json(file), Heard(), Heard()
    evaluate_model(model, EvaluationSpec(data=new), plain, settings)
    write_json(file, {**origin, "models": {"fine-tuned-rag": model.id}})
    evaluate_model(model, EvaluationSpec(data=new), with_passages, settings)
    assert "was trained with passages of documents in its prompts" in with_passages.said
    assert "passages" not in plain.said


def test_nothing_is_measured_where_every_row_is_known(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    with pytest.raises(DataError, match="every input of it stands in the file"):
        evaluate_model(model, EvaluationSpec(data=tmp_path / "rows.jsonl"), settings=settings)


def test_a_base_is_measured_alone(tmp_path: Path, base: Path, settings: Settings) -> None:
    data = write_rows(tmp_path / "rows.jsonl", 12)
    evaluation = evaluate_model(str(base), EvaluationSpec(data=data), settings=settings)
    assert evaluation.model == evaluation.base
    assert evaluation.gains == {}
    assert evaluation.known_lines == ()


def test_answers_are_judged_against_the_base_by_a_model_that_is_held_to_a_verdict(
    tmp_path: Path, model: ModelRecord, base: Path, settings: Settings
) -> None:
    new = write_new_rows(tmp_path / "new.jsonl", tmp_path / "rows.jsonl", 12)
    other = save_base(tmp_path / "other", context=1024)
    for judge, named in ((str(base), "toy"), (str(other), "other"), (model.id, model.id)):
        evaluation = evaluate_model(model, EvaluationSpec(data=new, judge=judge), settings=settings)
        judgement = evaluation.judgement
        assert judgement is not None
        assert (judgement.judge, judgement.first, judgement.second) == (named, "fine-tuned", "zero-shot")
        assert judgement.examples == 12
        assert judgement.undefined == 0
        assert json.loads(json.dumps(evaluation.to_json()))["judgement"]["judge"] == named


def test_a_judge_needs_a_rival_and_its_own_files(
    tmp_path: Path, model: ModelRecord, base: Path, settings: Settings
) -> None:
    new = write_new_rows(tmp_path / "new.jsonl", tmp_path / "rows.jsonl", 12)
    with pytest.raises(SpecError, match="is a base: there is nothing to judge its answers against"):
        evaluate_model(str(base), EvaluationSpec(data=new, judge=str(base)), settings=settings)
    with pytest.raises(ModelUnavailableError, match="no base model '/nowhere'"):
        evaluate_model(model, EvaluationSpec(data=new, judge="/nowhere"), settings=settings)


def test_a_judge_whose_calls_fail_gives_no_verdict_and_says_why(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    new = write_new_rows(tmp_path / "new.jsonl", tmp_path / "rows.jsonl", 12)
    small = save_base(tmp_path / "small", context=128)
    judgement = evaluate_model(model, EvaluationSpec(data=new, judge=str(small)), settings=settings).judgement
    assert judgement is not None
    assert (judgement.examples, judgement.undefined, judgement.gain) == (0, 12, None)
    assert "the context of small holds 128" in judgement.describe()


def test_that_the_models_files_are_gone_is_told_before_its_base_is_asked(
    tmp_path: Path, model: ModelRecord, settings: Settings
) -> None:
    new = write_new_rows(tmp_path / "new.jsonl", tmp_path / "rows.jsonl", 12)
    gone = replace(model, path=str(tmp_path / "gone"), base="/no/base/either")
    with pytest.raises(ModelUnavailableError, match=r"is registered, but its folder .* is gone"):
        evaluate_model(gone, EvaluationSpec(data=new), settings=settings)
