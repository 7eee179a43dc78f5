"""What GGUF cannot hold is refused. That what it holds answers alike, `tests/integration` asks llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from safetensors.torch import load_file, save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from tunewise.errors import ExportError
from tunewise.export.bundle import export_model
from tunewise.export.gguf_files import write_gguf
from tunewise.export.source import ExportSource
from tunewise.models.adapters import save_adapter
from tunewise.models.base import BaseModel
from tunewise.progress import SilentProgress


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


def write_adapter(tuned: ExportSource, folder: Path) -> GGUFReader:
    """The adapter is written before the base, which cannot be: no GGUF knows the toy's tokenizer."""
    folder.mkdir()
    with pytest.raises(ExportError, match="pre-tokenizer"):
        write_gguf(tuned, folder, SilentProgress(), merged=False)
    return GGUFReader(folder / "adapter.gguf")


def test_an_adapter_is_written_under_the_bases_names_with_its_rows_in_the_bases_order(
    tuned: ExportSource, tmp_path: Path
) -> None:
    file, adapter = write_adapter(tuned, tmp_path / "out"), tuned.adapter()
    assert adapter is not None
    assert file.fields["general.type"].contents() == "adapter"
    assert file.fields["general.architecture"].contents() == "llama"
    assert file.fields["adapter.type"].contents() == "lora"
    # It is divided by the rank, 4, when it is read.
    assert file.fields["adapter.lora.alpha"].contents() == 4 * adapter.scale == 12.0
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in file.tensors}
    assert len(tensors) == 2 * len(adapter.layers)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    a, b = adapter.layers["model.layers.1.mlp.down_proj"]
    assert torch.equal(tensors["blk.1.ffn_down.weight.lora_a"], a.half())
    assert torch.equal(tensors["blk.1.ffn_down.weight.lora_b"], b.half())
    a, b = adapter.layers["model.layers.0.self_attn.k_proj"]
    # Two heads of eight rows, which turn in pairs: halves in transformers, neighbours in llama.cpp.
    order = [8 * head + 4 * half + row for head in range(2) for row in range(4) for half in range(2)]
    assert torch.equal(tensors["blk.0.attn_k.weight.lora_a"], a.half())
    assert torch.equal(tensors["blk.0.attn_k.weight.lora_b"], b[order].half())


def test_an_adapter_on_a_weight_that_llama_cpp_takes_apart_is_refused(tmp_path: Path) -> None:
    """GPT-NeoX keeps queries, keys and values in one matrix, which the converter lays out anew."""
    config = GPTNeoXConfig(
        vocab_size=258, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4
    )
    GPTNeoXForCausalLM(config).save_pretrained(tmp_path / "base")
    layers = {"gpt_neox.layers.0.attention.query_key_value": (torch.ones(2, 32), torch.ones(96, 2))}
    save_adapter(tmp_path / "model", layers, 2, 4.0, "neox")
    source = ExportSource("neox", BaseModel("neox", "neox", tmp_path / "base"), tmp_path / "model")
    with pytest.raises(ExportError, match="query_key_value in a way that no separate adapter fits"):
        export_model(source, "gguf", tmp_path / "out", merge=False)
