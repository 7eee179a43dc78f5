from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from toy import make_model
from tunewise.errors import ModelUnavailableError
from tunewise.models.adapters import load_adapter, save_adapter
from tunewise.models.attention import PackedLayout
from tunewise.train.lora import LoRALinear, add_lora


def trained_like(model: torch.nn.Module) -> dict[str, LoRALinear]:
    layers = add_lora(model, 4, 12.0, seed=0)
    generator = torch.Generator().manual_seed(1)
    for layer in layers.values():
        torch.nn.init.normal_(layer.b, std=0.2, generator=generator)
    return layers


def save(folder: Path, layers: dict[str, LoRALinear]) -> None:
    save_adapter(folder, {n: (layer.a, layer.b) for n, layer in layers.items()}, 4, 12.0, "toy")


def test_peft_reads_the_adapter_and_computes_what_was_trained(tmp_path: Path) -> None:
    model = make_model()
    save(tmp_path, trained_like(model))
    ids = torch.arange(2, 22)[None]
    ours = model(
        input_ids=ids, position_ids=torch.arange(20)[None], use_cache=False, layout=PackedLayout([20])
    )
    theirs = PeftModel.from_pretrained(make_model(attention="eager"), tmp_path)(input_ids=ids)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=2e-5, rtol=1e-4)


def test_an_adapter_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    layers = trained_like(make_model())
    save(tmp_path, layers)
    adapter = load_adapter(tmp_path, torch.device("cpu"), torch.float32)
    assert adapter.scale == 3.0
    assert adapter.layers.keys() == layers.keys()
    for name, layer in layers.items():
        assert torch.equal(adapter.layers[name][0], layer.a)
        assert torch.equal(adapter.layers[name][1], layer.b)


def test_the_same_weights_are_the_same_bytes_whatever_order_they_come_in(tmp_path: Path) -> None:
    layers = trained_like(make_model())
    save(tmp_path / "a", layers)
    save(tmp_path / "b", dict(reversed(layers.items())))
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_rslora_is_scaled_by_the_root_of_the_rank_here_and_in_peft(tmp_path: Path) -> None:
    model = make_model()
    layers = add_lora(model, 4, 3.0, seed=0, rslora=True)
    for layer in layers.values():
        torch.nn.init.normal_(layer.b, std=0.2, generator=torch.Generator().manual_seed(1))
    save_adapter(tmp_path, {n: (layer.a, layer.b) for n, layer in layers.items()}, 4, 3.0, "toy", rslora=True)
    assert load_adapter(tmp_path, torch.device("cpu"), torch.float32).scale == 1.5
    ids = torch.arange(2, 22)[None]
    ours = model(
        input_ids=ids, position_ids=torch.arange(20)[None], use_cache=False, layout=PackedLayout([20])
    )
    theirs = PeftModel.from_pretrained(make_model(attention="eager"), tmp_path)(input_ids=ids)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("damage", ["missing", "cut", "dora", "not json"])
def test_an_adapter_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    save(tmp_path, trained_like(make_model()))
    weights, config = tmp_path / "adapter_model.safetensors", tmp_path / "adapter_config.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "dora":
        config.write_text(json.dumps({**json.loads(config.read_text()), "use_dora": True}))
    else:
        config.write_text("{")
    with pytest.raises(ModelUnavailableError, match=str(tmp_path)):
        load_adapter(tmp_path, torch.device("cpu"), torch.float32)
