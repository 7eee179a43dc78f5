"""A toy base in a folder, and an adapter for it with a chat template of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toy import CHATML, make_model, make_tokenizer
from tunewise.export.source import ExportSource
from tunewise.models.adapters import save_adapter
from tunewise.models.base import BaseModel

RANK, ALPHA = 4, 12.0
OWN_TEMPLATE = CHATML.replace("Be kind.", "Be brief.")


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    folder = tmp_path / "base"
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return BaseModel("toy", str(folder), folder)


@pytest.fixture
def tuned(tmp_path: Path, base: BaseModel) -> ExportSource:
    folder = tmp_path / "model"
    generator = torch.Generator().manual_seed(1)
    layers = {
        name: (
            torch.randn(RANK, layer.in_features, generator=generator) * 0.2,
            torch.randn(layer.out_features, RANK, generator=generator) * 0.2,
        )
        for name, layer in make_model().named_modules()
        if isinstance(layer, torch.nn.Linear) and name != "lm_head"
    }
    save_adapter(folder, layers, RANK, ALPHA, base.reference)
    (folder / "chat_template.jinja").write_text(OWN_TEMPLATE)
    (folder / "tunewise.json").write_text("{}\n")
    return ExportSource("ft:toy:local:t:1", base, folder, tmp_path / "run")
