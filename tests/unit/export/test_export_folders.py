"""What PEFT and transformers load from an export computes what the adapter on its base does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from toy import CHATML, make_model
from tunewise.errors import ExportError, ModelUnavailableError
from tunewise.export.bundle import export_model
from tunewise.export.source import ExportSource

IDS = torch.arange(2, 42)[None]


def own_template(tuned: ExportSource) -> str:
    assert tuned.folder is not None
    return (tuned.folder / "chat_template.jinja").read_text()


def logits_of(model: torch.nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=IDS).logits
        return logits


def expected_logits(tuned: ExportSource) -> torch.Tensor:
    """PEFT's own, of the adapter on the base: not zero away from what the base says."""
    alone = logits_of(make_model(attention="eager"))
    logits = logits_of(PeftModel.from_pretrained(make_model(attention="eager"), tuned.folder))
    assert (logits - alone).abs().max() > 1
    return logits


def use_bf16(tuned: ExportSource) -> None:
    file = tuned.base.folder / "model.safetensors"
    bf16 = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    save_file(bf16, file, metadata={"format": "pt"})


def test_the_merged_model_computes_what_the_adapter_on_its_base_does(
    tuned: ExportSource, tmp_path: Path
) -> None:
    export_model(tuned, "safetensors", tmp_path / "out")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert merged.dtype == torch.float32
    assert merged.generation_config.eos_token_id == 1
    torch.testing.assert_close(logits_of(merged), expected_logits(tuned), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_weights_are_base_plus_scaled_product_in_the_bases_dtype(
    tuned: ExportSource, tmp_path: Path, dtype: torch.dtype
) -> None:
    if dtype == torch.bfloat16:
        use_bf16(tuned)
    export_model(tuned, "safetensors", tmp_path / "out")
    adapter = tuned.adapter()
    assert adapter is not None
    before = load_file(tuned.base.folder / "model.safetensors")
    after = load_file(tmp_path / "out" / "model.safetensors")
    assert after.keys() == before.keys()
    changed = 0
    for key, weight in before.items():
        expected = weight.double()
        if (layer := key.removesuffix(".weight")) in adapter.layers:
            a, b = adapter.layers[layer]
            expected = expected + 3.0 * b.double() @ a.double()
            changed += 1
        assert after[key].dtype == dtype
        # Rounded once, and not the update by itself before that.
        torch.testing.assert_close(after[key].double(), expected, rtol=torch.finfo(dtype).eps / 2, atol=1e-6)
    assert changed == len(adapter.layers) == 14


def test_a_base_in_several_files_stays_in_several_files(tuned: ExportSource, tmp_path: Path) -> None:
    (tuned.base.folder / "model.safetensors").unlink()
    make_model().save_pretrained(tuned.base.folder, max_shard_size="20KB")
    # Not a part of the model: no index names it.
    save_file({"lora": torch.zeros(1)}, tuned.base.folder / "other.safetensors")
    export_model(tuned, "safetensors", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").glob("*.safetensors")}
    assert len(names) > 2
    assert names == {path.name for path in tuned.base.folder.glob("model-*.safetensors")}
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits_of(merged), expected_logits(tuned), atol=1e-4, rtol=1e-4)


def test_the_merged_model_brings_the_tuned_models_own_chat_template(
    tuned: ExportSource, tmp_path: Path
) -> None:
    # Where older bases keep their template, and where it would win over a file of its own.
    config = tuned.base.folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": CHATML}))
    export_model(tuned, "safetensors", tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == own_template(tuned) != CHATML
    text = "It costs 1,299.00 €"
    assert tokenizer(text).input_ids == AutoTokenizer.from_pretrained(tuned.base.folder)(text).input_ids


def test_a_base_is_exported_as_it_is(tuned: ExportSource, tmp_path: Path) -> None:
    export_model(ExportSource("toy", tuned.base), "safetensors", tmp_path / "out")
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(logits_of(exported), logits_of(make_model(attention="sdpa")))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == CHATML


def test_peft_loads_the_exported_adapter(tuned: ExportSource, tmp_path: Path) -> None:
    done = export_model(tuned, "peft", tmp_path / "out")
    names = ["adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tunewise.json"]
    assert [Path(file.path).name for file in done.files] == names
    model = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits_of(model), expected_logits(tuned), atol=1e-4, rtol=1e-4)


def test_a_base_has_no_adapter_to_export(tuned: ExportSource, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has no adapter"):
        export_model(ExportSource("toy", tuned.base), "peft", tmp_path / "out")


def test_a_damaged_adapter_is_not_copied(tuned: ExportSource, tmp_path: Path) -> None:
    assert tuned.folder is not None
    weights = tuned.folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailableError, match="damaged"):
        export_model(tuned, "peft", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_merged_into_quantised_weights(tuned: ExportSource, tmp_path: Path) -> None:
    config = tuned.base.folder / "config.json"
    quantised = {**json.loads(config.read_text()), "quantization_config": {"quant_method": "bitsandbytes"}}
    config.write_text(json.dumps(quantised))
    with pytest.raises(ExportError, match="quantised \\(bitsandbytes\\)"):
        export_model(tuned, "safetensors", tmp_path / "out")


def test_the_adapter_of_another_base_is_refused(tuned: ExportSource, tmp_path: Path) -> None:
    folder = tmp_path / "deeper"
    make_model(layers=1).save_pretrained(folder)
    other = replace(tuned, base=replace(tuned.base, folder=folder))
    with pytest.raises(ExportError, match=r"stores no model\.layers\.1\.mlp\.down_proj\.weight"):
        export_model(other, "safetensors", tmp_path / "out")
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    save_file({**weights, name: weights[name][:8]}, folder / "model.safetensors")
    with pytest.raises(ExportError, match=r"up_proj is \[8, 32\] in the base"):
        export_model(other, "safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
