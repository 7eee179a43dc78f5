"""What is exported: a base with or without an adapter, and where the adapter came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from tunewise.chat.template import TEMPLATE_FILE
from tunewise.errors import ExportError
from tunewise.models.adapters import Adapter, load_adapter
from tunewise.models.base import BaseModel, find_base, is_whole_model, whole_model
from tunewise.records import ModelRecord
from tunewise.settings import Settings
from tunewise.store.files import read_json
from tunewise.store.registry import model_folder


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A model whose files are on this machine."""

    id: str
    """The tuned model's, or the base's name."""
    base: BaseModel
    folder: Path | None = None
    """The adapter's; None for a base, and for a model of which all weights were trained."""
    run: Path | None = None
    """The folder of the run that trained the model."""

    def adapter(self) -> Adapter | None:
        """In fp32 on the CPU. Raises `ModelUnavailableError` if it is missing, damaged or no plain LoRA."""
        return None if self.folder is None else load_adapter(self.folder, torch.device("cpu"), torch.float32)

    def template(self) -> str | None:
        """The tuned model's own chat template; None where the base's is used."""
        file = None if self.folder is None else self.folder / TEMPLATE_FILE
        return file.read_text("utf-8") if file is not None and file.is_file() else None

    def refuse_quantised(self) -> None:
        """Raise `ExportError` when the base's weights are not numbers that can be added to."""
        quantisation = read_json(self.base.folder / "config.json").get("quantization_config")
        if quantisation is not None:
            raise ExportError(
                f"the weights of {self.base.name} are quantised ({quantisation.get('quant_method')}), and an "
                "adapter merged into them would be lost in their rounding: use --format peft"
            )


def find_source(model: ModelRecord | str, settings: Settings | None = None) -> ExportSource:
    """The files of a registered model, or of the base `model`. Raises `ModelUnavailableError`."""
    if isinstance(model, str):
        base = find_base(model, settings)
        return ExportSource(base.name, base)
    folder = model_folder(model)
    if is_whole_model(folder):
        return ExportSource(model.id, whole_model(model.id, folder), None, Path(model.run))
    return ExportSource(model.id, find_base(model.base, settings), folder, Path(model.run))
