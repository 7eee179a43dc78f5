from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import torch

from toy import make_loaded, make_model
from tunewise.engines.adapter_store import AdapterStore
from tunewise.engines.local import LocalEngine
from tunewise.errors import ModelNotFoundError, ModelUnavailableError
from tunewise.models.adapters import CONFIG_FILE, save_adapter
from tunewise.records import ChatRequest, Message
from tunewise.train.lora import add_lora


def save(folder: Path) -> Path:
    layers = add_lora(make_model(), 4, 8.0, seed=0)
    save_adapter(folder, {name: (layer.a, layer.b) for name, layer in layers.items()}, 4, 8.0, "toy")
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / name) for name in "abc"]


def make_store(folders: list[Path], num_in_memory: int) -> AdapterStore:
    store = AdapterStore(torch.device("cpu"), torch.float32, 10**9)
    store.add("a", folders[0])
    one = store.get("a").num_bytes
    store = AdapterStore(torch.device("cpu"), torch.float32, num_in_memory * one)
    for folder in folders:
        store.add(folder.name, folder)
    return store


def test_the_one_that_was_not_asked_for_longest_leaves_memory(folders: list[Path]) -> None:
    store = make_store(folders, 2)
    assert store.in_memory() == ["b", "c"]
    store.get("b")
    store.get("a")
    assert store.in_memory() == ["b", "a"]


def test_one_larger_than_the_budget_is_kept_while_it_is_the_last(folders: list[Path]) -> None:
    store = make_store(folders, 0)
    assert store.in_memory() == ["c"]
    assert store.get("a").num_bytes > 0


def test_one_whose_files_are_gone_by_then_is_unavailable(folders: list[Path]) -> None:
    store = make_store(folders, 1)
    (folders[0] / CONFIG_FILE).unlink()
    with pytest.raises(ModelUnavailableError, match=str(folders[0])):
        store.get("a")
    assert store.get("b") is store.get("b")


def test_a_removed_one_is_not_found(folders: list[Path]) -> None:
    store = make_store(folders, 3)
    store.remove("a")
    with pytest.raises(ModelNotFoundError, match="'a'"):
        store.get("a")
    assert store.in_memory() == ["b", "c"]


def test_nobody_else_waits_while_a_cold_adapter_is_read(folders: list[Path]) -> None:
    engine = LocalEngine(make_loaded(), own_thread=True, adapter_bytes=1)
    for folder in folders:
        engine.load(folder.name, folder)
    # A pipe for a file: whoever reads it waits until it is written.
    config = folders[0] / CONFIG_FILE
    text = config.read_text()
    config.unlink()
    os.mkfifo(config)

    def ask(model: str) -> str:
        request = ChatRequest(model, (Message("user", "hello"),), 4)
        return engine.generate([request])[0].finish_reason

    cold: list[str] = []
    reader = threading.Thread(target=lambda: cold.append(ask("a")))
    reader.start()
    assert [ask(model) for model in ("toy", "c", "b", "toy")] == ["length"] * 4
    assert cold == []
    config.write_text(text)
    reader.join(30)
    assert cold == ["length"]
    engine.close()
