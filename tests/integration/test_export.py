"""Exports of the embedded model with a random adapter, read by llama.cpp itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader, dequantize
from safetensors.torch import load_file

from tunewise.chat.template import ChatTemplate
from tunewise.engines import open_engine
from tunewise.engines.llama_cpp import LlamaCpp
from tunewise.engines.local import LocalEngine
from tunewise.errors import ExportError, ModelUnavailableError
from tunewise.evaluate.parity import TOLERANCES
from tunewise.export import gguf_files
from tunewise.export.bundle import Export, export_model
from tunewise.export.folders import merge
from tunewise.export.proof import prove
from tunewise.export.source import ExportSource
from tunewise.models.adapters import Adapter, save_adapter
from tunewise.models.base import BaseModel, load_base
from tunewise.progress import SilentProgress
from tunewise.records import Message
from tunewise.store.files import read_json, sha256_of_file

PRICES = Path(__file__).parents[2] / "examples" / "prices.jsonl"
RANK, ALPHA = 8, 16.0


@pytest.fixture(scope="module")
def tuned(embedded_base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> ExportSource:
    """Every layer changed at random, enough to answer otherwise than the base and still in words."""
    run = tmp_path_factory.mktemp("run")
    loaded = load_base(embedded_base)
    generator = torch.Generator().manual_seed(0)
    layers = {
        name: (
            torch.randn(RANK, layer.in_features, generator=generator) / layer.in_features**0.5,
            torch.randn(layer.out_features, RANK, generator=generator) * 0.01,
        )
        for name, layer in loaded.model.named_modules()
        if isinstance(layer, torch.nn.Linear) and name != "lm_head"
    }
    save_adapter(run / "model", layers, RANK, ALPHA, embedded_base.reference)
    template = ChatTemplate(loaded.tokenizer).without_default_system()
    (run / "model" / "chat_template.jinja").write_text(template)
    data = run / "prices.jsonl"
    data.write_text("\n".join(PRICES.read_text("utf-8").splitlines()[:20]), "utf-8")
    manifest = {
        "data": {"path": str(data), "sha256": sha256_of_file(data)},
        "spec": {"group_key": None, "seed": 0},
        "split": {"test": 5},
    }
    (run / "manifest.json").write_text(json.dumps(manifest))
    return ExportSource("ft:smollm2-135m-instruct:test:random:1", embedded_base, run / "model", run)


@pytest.fixture(scope="module")
def merged(tuned: ExportSource, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export_model(tuned, "gguf", tmp_path_factory.mktemp("merged"))


@pytest.fixture(scope="module")
def merged_file(merged: Export) -> GGUFReader:
    return GGUFReader(Path(merged.folder) / "model.gguf")


@pytest.fixture(scope="module")
def engine(tuned: ExportSource) -> Iterator[LocalEngine]:
    engine = open_engine(tuned.base)
    assert tuned.folder is not None
    engine.load(tuned.id, tuned.folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def served(tuned: ExportSource, merged: Export) -> Iterator[LlamaCpp]:
    stop_ids = ChatTemplate(load_base(tuned.base).tokenizer).stop_ids
    with LlamaCpp(tuned.id, Path(merged.folder) / "model.gguf", None, stop_ids, 512) as served:
        yield served


def assert_proven(done: Export) -> None:
    proof, found = done.parity, done.parity and done.parity.certificate
    assert proof is not None
    assert found is not None
    assert proof.passed
    assert proof.rows_from == "validation"
    assert (found.rows, found.ids_equal, found.precision) == (5, True, "float16")
    assert found.tokens > 50
    assert found.max_difference is not None
    # What rounding does is far below what is tolerated, or the proof would fail by chance.
    assert 0 < found.max_difference < found.tolerance / 2
    assert proof.answers_equal + proof.answers_tied == proof.answers == 5
    assert read_json(Path(done.folder) / "parity.json")["certificate"]["tokens"] == found.tokens


def test_a_merged_model_is_one_file_that_answers_in_llama_cpp_as_the_model_does(merged: Export) -> None:
    assert [Path(file.path).name for file in merged.files] == ["model.gguf", "parity.json"]
    assert_proven(merged)


def test_the_merged_weights_survive_in_f16(
    tuned: ExportSource, merged: Export, merged_file: GGUFReader
) -> None:
    adapter = tuned.adapter()
    assert adapter is not None
    base = load_file(tuned.base.folder / "model.safetensors")
    found = {t.name: t for t in merged_file.tensors}
    assert len(found) == len(base)
    names = {"mlp.gate_proj": "ffn_gate", "mlp.down_proj": "ffn_down", "self_attn.o_proj": "attn_output"}
    largest = 0.0
    for layer in range(30):
        for theirs, ours in names.items():
            name = f"model.layers.{layer}.{theirs}"
            tensor = found[f"blk.{layer}.{ours}.weight"]
            expected = merge(base[f"{name}.weight"], adapter, name).numpy()
            weights = dequantize(tensor.data, tensor.tensor_type)
            # F16 keeps eleven bits, and steps of 2**-24 near zero.
            assert (np.abs(weights - expected) <= np.abs(expected) * 2.0**-11 + 2.0**-25).all()
            largest = max(largest, float(np.abs(weights - expected).max()))
    assert merged.f16_error is not None
    assert 0 < largest <= merged.f16_error < 5e-3


def test_the_file_carries_the_tuned_models_name_and_chat_template(
    tuned: ExportSource, merged_file: GGUFReader
) -> None:
    fields = merged_file.fields
    assert fields["general.name"].contents() == tuned.id
    assert fields["tokenizer.chat_template"].contents() == tuned.template()
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"


@pytest.mark.parametrize(
    "text",
    [
        "1299.00", "£1,299.00 inc. VAT", "3 kg at 20/kg  or 2024-11-05", "",
        "  two  spaces\n\n\nand\tlines ",
        "Größe: 42½ m² — «naïve»", "東京の天気は？", "👋🏽 👨‍👩‍👧",
        "def f(x):\n    return x**2", "<|im_end|>",
    ],
)  # fmt: skip
def test_llama_cpp_makes_the_same_tokens(
    tuned: ExportSource, engine: LocalEngine, served: LlamaCpp, text: str
) -> None:
    user, system = Message("user", text), Message("system", "Be brief.")
    for turns in ([user], [system, user], [user, Message("assistant", "Fine."), user]):
        answered = [*turns, Message("assistant", text)]
        assert served.token_ids(tuned.id, answered) == engine.token_ids(tuned.id, answered)


def test_tokens_that_are_half_a_character_are_scored_too(
    tuned: ExportSource, engine: LocalEngine, served: LlamaCpp
) -> None:
    asked = tuned.id, [Message("user", "Write some signs."), Message("assistant", "£ 東 👋🏽 ½")]
    ours, theirs = engine.score(*asked), served.score(*asked)
    assert len(ours) == len(theirs) > 12
    assert theirs == pytest.approx(ours, abs=TOLERANCES["float16"])


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelUnavailableError, match=r"cannot load model\.gguf"):
        LlamaCpp("x", tmp_path / "model.gguf", None, frozenset(), 512)


def test_a_wrong_scale_fails_the_proof_and_leaves_nothing(
    tuned: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merge_too_much(weight: torch.Tensor, adapter: Adapter, layer: str) -> torch.Tensor:
        return merge(weight, replace(adapter, scale=1.5 * adapter.scale), layer)

    monkeypatch.setattr(gguf_files, "merge", merge_too_much)
    with pytest.raises(ExportError, match=r"does not answer as .* does, so it was not kept"):
        export_model(tuned, "gguf", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_base_and_adapter_apart_answer_in_llama_cpp_as_the_model_does(
    tuned: ExportSource, tmp_path: Path
) -> None:
    done = export_model(tuned, "gguf", tmp_path / "out", merge=False)
    names = [Path(file.path).name for file in done.files]
    assert names == ["adapter.gguf", "base.gguf", "parity.json"]
    assert_proven(done)
    adapter = GGUFReader(tmp_path / "out" / "adapter.gguf")
    assert adapter.fields["adapter.lora.alpha"].contents() == ALPHA
    assert len(adapter.tensors) == 2 * 7 * 30
    # The adapter is not for show.
    base = tmp_path / "out" / "base.gguf"
    assert not prove(tuned, base, None, SilentProgress()).passed


@pytest.mark.slow
def test_the_bases_chat_template_fails_the_proof(tuned: ExportSource, tmp_path: Path) -> None:
    """Its default system message was not there in training."""
    assert tuned.folder is not None
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((tuned.folder / name).read_bytes())
    without = replace(tuned, folder=tmp_path)
    gguf_files.write_gguf(without, tmp_path, SilentProgress(), merged=True)
    proof = prove(tuned, tmp_path / "model.gguf", None, SilentProgress())
    assert not proof.certificate.ids_equal
    assert not proof.passed


@pytest.mark.slow
def test_the_embedded_base_itself_is_exported_and_proven(embedded_base: BaseModel, tmp_path: Path) -> None:
    done = export_model(ExportSource(embedded_base.name, embedded_base), "gguf", tmp_path / "out")
    assert done.parity is not None
    assert done.parity.passed
    assert done.parity.rows_from == "examples"
    assert done.parity.certificate.tokens > 50
