"""What GGUF cannot hold is refused. That what it holds answers alike, `tests/integration` asks llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tunewise.errors import ExportError
from tunewise.export.bundle import export_model
from tunewise.export.source import ExportSource


def change_config(tuned: ExportSource, **values: object) -> None:
    file = tuned.base.folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def assert_refused(tuned: ExportSource, tmp_path: Path, match: str) -> None:
    with pytest.raises(ExportError, match=match) as caught:
        export_model(tuned, "gguf", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "model"]


@pytest.mark.parametrize("value", [1e5, float("inf"), float("nan")])
def test_a_weight_that_f16_cannot_hold_is_refused(tuned: ExportSource, tmp_path: Path, value: float) -> None:
    file = tuned.base.folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    save_file(tensors, file, metadata={"format": "pt"})
    assert_refused(tuned, tmp_path, r"layers\.1\.mlp\.up_proj\.weight holds numbers that F16 cannot")


def test_an_adapter_that_f16_cannot_hold_is_refused(tuned: ExportSource, tmp_path: Path) -> None:
    assert tuned.folder is not None
    file = tuned.folder / "adapter_model.safetensors"
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    save_file({**(tensors := load_file(file)), name: torch.full_like(tensors[name], 1e5)}, file)
    assert_refused(tuned, tmp_path, r"q_proj\.weight holds numbers that F16 cannot")


def test_an_architecture_that_the_converter_does_not_know_is_refused(
    tuned: ExportSource, tmp_path: Path
) -> None:
    change_config(tuned, architectures=["AbacusForCausalLM"])
    assert_refused(tuned, tmp_path, "converter does not know toy: Architecture 'AbacusForCausalLM'")


def test_a_tokenizer_that_llama_cpp_does_not_know_is_refused(tuned: ExportSource, tmp_path: Path) -> None:
    assert_refused(tuned, tmp_path, "toy cannot be written as GGUF: BPE pre-tokenizer was not recognized")


def test_quantised_weights_are_refused(tuned: ExportSource, tmp_path: Path) -> None:
    change_config(tuned, quantization_config={"quant_method": "awq"})
    assert_refused(tuned, tmp_path, r"quantised \(awq\)")
