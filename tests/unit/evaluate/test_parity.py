"""What was trained is what is served: trained for real on the toy model, written, read back, compared."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from toy import CHATML, make_model, make_tokenizer
from tunewise.approaches.prompted import fine_tuned
from tunewise.engines.local import LocalEngine
from tunewise.errors import RunFolderError
from tunewise.evaluate.parity import TOLERANCES, certify, certify_served
from tunewise.models.attention import PackedLayout
from tunewise.models.base import BaseModel, load_base
from tunewise.progress import SilentProgress
from tunewise.records import (
    Example,
    Message,
    ParityCertificate,
    RowTokens,
    Tool,
    ToolCall,
    TrainedTokens,
)
from tunewise.train import objectives
from tunewise.train.fine_tune import MODEL_FOLDER, TOKENS_FILE, fine_tune, read_trained_tokens
from tunewise.train.loop import RECORDED_ROWS
from tunewise.train.spec import TrainSpec

MODEL = "ft:toy"
SPEC = TrainSpec(rank=4, alpha=8.0, epochs=3, batch_size=4, learning_rate=1e-2)


def example(number: int) -> Example:
    messages = [
        Message("system", "Count."),
        Message("user", f"after {number}?"),
        Message("assistant", str(number + 1)),
    ]
    if number % 3 == 0:
        messages += [Message("assistant", "oh", weight=0)] if number % 2 else []
        messages += [Message("user", "and then?"), Message("assistant", f"then {number + 2}")]
    tools: tuple[Tool, ...] = ()
    if number in (1, 10):
        call = ToolCall("call_1", "add", f'{{"to":{number}}}')
        calls, result = Message("assistant", "", tool_calls=(call,)), Message("tool", str(number + 1))
        messages[2:2], tools = [calls, replace(result, tool_call_id=call.id)], (Tool("add"),)
    return Example(f"{number:016x}", tuple(messages), number + 1, str(number), tools)


TRAIN, VALIDATION = [example(n) for n in range(8)], [example(n) for n in range(8, 48)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("base")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return BaseModel("toy", str(folder), folder)


def train(base: BaseModel, out: Path) -> Path:
    out.mkdir()
    fine_tune(base, TRAIN, VALIDATION, SPEC, out, Path("rows.jsonl"), SilentProgress())
    return out


@pytest.fixture(scope="module")
def trained(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(base, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished training, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="module")
def engine(base: BaseModel) -> LocalEngine:
    return LocalEngine(load_base(base))


def certificate(engine: LocalEngine, run: Path) -> ParityCertificate:
    engine.load(MODEL, run / MODEL_FOLDER)
    return certify_served(engine, fine_tuned(MODEL), VALIDATION, read_trained_tokens(run))


def assert_weights_differ(found: ParityCertificate) -> None:
    assert found.ids_equal
    assert found.max_difference is not None
    assert found.max_difference > 10 * found.tolerance
    assert not found.passed


def test_a_model_that_is_served_as_it_was_trained_passes(engine: LocalEngine, run: Path) -> None:
    found = certificate(engine, run)
    assert found.passed
    assert found.ids_equal
    assert found.rows == RECORDED_ROWS
    assert found.tokens == sum(len(row.logprobs) for row in read_trained_tokens(run).rows) > 3 * found.rows
    assert found.tolerance == TOLERANCES["float32"]
    assert found.max_difference is not None
    # What rounding does is far below what is tolerated, or the certificate would fail by chance.
    assert found.max_difference < found.tolerance / 10


def test_one_altered_tensor_of_the_adapter_file_fails(engine: LocalEngine, run: Path) -> None:
    file = run / MODEL_FOLDER / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(name for name in sorted(tensors) if name.endswith("q_proj.lora_B.weight"))
    save_file({**tensors, name: -tensors[name]}, file)
    assert_weights_differ(certificate(engine, run))


def test_one_layer_missing_from_the_adapter_file_fails(engine: LocalEngine, run: Path) -> None:
    file = run / MODEL_FOLDER / "adapter_model.safetensors"
    tensors = load_file(file)
    kept = {name: tensor for name, tensor in tensors.items() if ".layers.0.mlp.down_proj." not in name}
    assert len(kept) == len(tensors) - 2
    save_file(kept, file)
    assert_weights_differ(certificate(engine, run))


def test_another_scale_fails(engine: LocalEngine, run: Path) -> None:
    file = run / MODEL_FOLDER / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "lora_alpha": 2 * SPEC.alpha}))
    assert_weights_differ(certificate(engine, run))


def test_the_base_in_place_of_the_adapter_fails(engine: LocalEngine, run: Path) -> None:
    file = run / MODEL_FOLDER / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(file).items()}, file)
    assert_weights_differ(certificate(engine, run))


@pytest.mark.parametrize("template", [None, CHATML.replace("Be kind.", "Be brief."), "own, with a space"])
def test_another_chat_template_fails(engine: LocalEngine, run: Path, template: str | None) -> None:
    file = run / MODEL_FOLDER / "chat_template.jinja"
    if template is None:
        file.unlink()
    else:
        spaced = file.read_text().replace("assistant\n", "assistant \n")
        file.write_text(spaced if template.startswith("own") else template)
    found = certificate(engine, run)
    assert not found.ids_equal
    assert not found.passed


def test_a_training_whose_packs_mix_their_rows_fails(
    base: BaseModel, engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        objectives, "PackedLayout", lambda lengths, device, parents: PackedLayout([sum(lengths)], device)
    )
    assert_weights_differ(certificate(engine, train(base, tmp_path / "mixed")))


def test_weights_that_were_not_the_kept_ones_fail(engine: LocalEngine, run: Path) -> None:
    """As if the file held another step of the same training."""
    file = run / MODEL_FOLDER / "adapter_model.safetensors"
    save_file({name: 1.05 * tensor for name, tensor in load_file(file).items()}, file)
    assert_weights_differ(certificate(engine, run))


def test_the_same_training_notes_the_same_tokens(base: BaseModel, trained: Path, tmp_path: Path) -> None:
    again = train(base, tmp_path / "again")
    assert (again / TOKENS_FILE).read_bytes() == (trained / TOKENS_FILE).read_bytes()
    ids = [row.example_id for row in read_trained_tokens(again).rows]
    assert ids == [row.id for row in VALIDATION[:RECORDED_ROWS]]


@pytest.mark.parametrize("content", [None, "{", "{}", '{"precision": "float32", "rows": [1]}'])
def test_lost_notes_are_an_error_of_one_line(run: Path, content: str | None) -> None:
    file = run / TOKENS_FILE
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(RunFolderError, match=TOKENS_FILE):
        read_trained_tokens(run)


ROWS = (RowTokens("a", (1, 2, 3), (-0.5, -1.0)), RowTokens("b", (4, 5), (-2.0,)))


def compare(*served: RowTokens, precision: str = "float32") -> ParityCertificate:
    return certify(TrainedTokens(precision, ROWS), served)


def test_the_certificate_holds_the_largest_and_the_mean_difference() -> None:
    found = compare(replace(ROWS[0], logprobs=(-0.5003, -1.0)), replace(ROWS[1], logprobs=(-1.9994,)))
    assert (found.rows, found.tokens, found.ids_equal, found.passed) == (2, 3, True, True)
    assert found.max_difference == pytest.approx(6e-4)
    assert found.mean_difference == pytest.approx(3e-4)


def test_one_token_beyond_the_tolerance_fails_and_bf16_is_given_more_room() -> None:
    served = ROWS[0], replace(ROWS[1], logprobs=(-2.01,))
    assert not compare(*served).passed
    assert compare(*served, precision="bfloat16").passed
    assert not compare(*served, precision="float8").passed


def test_the_coarser_of_both_computations_decides() -> None:
    served = ROWS[0], replace(ROWS[1], logprobs=(-2.01,))
    trained = TrainedTokens("float32", ROWS)
    assert certify(trained, served, "bfloat16").passed
    assert certify(trained, served, "bfloat16").precision == "bfloat16"
    assert not certify(trained, served, "unknown").passed
    assert certify(replace(trained, precision="bfloat16"), served, "float32").precision == "bfloat16"


def test_a_row_of_other_ids_fails_and_the_others_are_still_measured() -> None:
    found = compare(ROWS[0], replace(ROWS[1], ids=(4, 6)))
    assert (found.ids_equal, found.passed, found.tokens, found.max_difference) == (False, False, 2, 0.0)


@pytest.mark.parametrize("logprob", [float("nan"), float("-inf")])
def test_what_is_no_number_fails_and_can_be_written(logprob: float) -> None:
    found = compare(ROWS[0], replace(ROWS[1], logprobs=(logprob,)))
    assert (found.passed, found.max_difference, found.mean_difference) == (False, None, None)
    json.dumps(asdict(found), allow_nan=False)


def test_nothing_to_compare_proves_nothing() -> None:
    assert not certify(TrainedTokens("float32", ()), []).passed
