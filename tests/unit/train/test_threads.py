from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tunewise.settings import Settings, get_settings
from tunewise.store.files import read_json
from tunewise.train import threads
from tunewise.train.threads import THREADS_FILE, choose_threads, measure_threads

MODEL = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 16))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(get_settings(), home=tmp_path, threads_are_given=False)


def pretend(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
    """Let products take so long on so many threads."""
    monkeypatch.setattr(threads, "MEASURING_SECONDS", 0.0)
    monkeypatch.setattr(threads, "_time_products", lambda *_: seconds[torch.get_num_threads()])


@pytest.fixture
def two_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_another_number_has_to_be_clearly_faster_than_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [layer.weight for layer in MODEL]
    pretend(monkeypatch, {1: 0.90, 2: 1.0, 4: 0.95})
    assert measure_threads(weights, {1, 2, 4}) == 2
    pretend(monkeypatch, {1: 0.90, 2: 1.0, 4: 0.80})
    assert measure_threads(weights, {1, 2, 4}) == 4
    pretend(monkeypatch, {1: 0.0001, 2: 0.0009, 4: 0.0001})  # Too short to tell.
    assert measure_threads(weights, {1, 2, 4}) == 2
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_choice_is_kept_for_the_machine_and_the_shapes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_logical_cores", lambda: 2)
    pretend(monkeypatch, {1: 0.5, 2: 1.0})
    assert choose_threads(MODEL, settings) == 1
    pretend(monkeypatch, {1: 1.0, 2: 0.5})
    assert choose_threads(MODEL, settings) == 1
    assert choose_threads(nn.Sequential(nn.Linear(3, 3)), settings) == 2
    keys = sorted(read_json(settings.cache / THREADS_FILE))
    assert [key.partition(f"2 cores, torch {torch.__version__}, ")[2] for key in keys] == ["3x3", "8x8 16x8"]


def test_what_the_environment_says_stays(settings: Settings) -> None:
    given = replace(settings, threads_are_given=True)
    assert choose_threads(MODEL, given) == torch.get_num_threads()
    assert choose_threads(nn.Sequential(), settings) == torch.get_num_threads()
    assert not (settings.cache / THREADS_FILE).exists()


def test_real_products_are_timed(settings: Settings) -> None:
    before = torch.get_num_threads()
    weights = [torch.randn(2048, 1024)]
    assert measure_threads(weights, {1, before}) in {1, before}
    assert torch.get_num_threads() == before
