"""Two formats that are folders: the adapter as PEFT reads it, and the merged model as `transformers` does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from tunewise.chat.template import TEMPLATE_FILE
from tunewise.errors import ExportError
from tunewise.export.source import ExportSource
from tunewise.models.adapters import CONFIG_FILE, WEIGHTS_FILE, Adapter
from tunewise.progress import Progress
from tunewise.store.files import read_json

_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_DESCRIPTIONS = {".json", ".jinja", ".model", ".txt"}
"""Files that are copied as they are: config, generation config, tokenizer, chat template, weight index."""


def copy_peft(source: ExportSource, folder: Path) -> None:
    """The adapter's own files, after a look whether they are whole."""
    if source.folder is None or source.adapter() is None:
        raise ExportError(f"{source.id} is whole and has no adapter: use --format safetensors or gguf")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        shutil.copyfile(source.folder / name, folder / name)
    for name in (TEMPLATE_FILE, "tunewise.json", "README.md"):
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)


def write_transformers(source: ExportSource, folder: Path, progress: Progress) -> None:
    """Base and adapter as one model, file by file as the base's weights are, in the base's own dtype."""
    source.refuse_quantised()
    adapter = source.adapter()
    copy_descriptions(source, folder)
    unmerged = set(adapter.layers) if adapter else set()
    files = weight_files(source.base.folder)
    with progress.task("writing the weights", len(files)) as task:
        for path in files:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in sorted(file.keys())}
            for key, weight in tensors.items():
                layer = key.removesuffix(".weight")
                if adapter is not None and layer in unmerged:
                    tensors[key] = merge(weight, adapter, layer).to(weight.dtype)
                    unmerged.remove(layer)
            save_file(tensors, folder / path.name, metadata={"format": "pt"})
            task.advance()
    refuse_unmerged(unmerged, source)


def copy_descriptions(source: ExportSource, folder: Path) -> None:
    """Everything but the weights, with the tuned model's chat template in place of the base's."""
    for file in sorted(source.base.folder.iterdir()):
        if file.suffix in _DESCRIPTIONS:
            shutil.copyfile(file, folder / file.name)
    template = source.template()
    if template is None:
        return
    (folder / TEMPLATE_FILE).write_text(template, "utf-8")
    # Older bases keep their template there, where it would come first.
    file = folder / _TOKENIZER_CONFIG
    if file.is_file() and (config := read_json(file)).pop("chat_template", None) is not None:
        file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")


def weight_files(folder: Path) -> list[Path]:
    """The files that `transformers` loads the weights of `folder` from."""
    index = folder / _INDEX
    names = set(read_json(index)["weight_map"].values()) if index.is_file() else {_WEIGHTS}
    return [folder / name for name in sorted(names)]


def merge(weight: Tensor, adapter: Adapter, layer: str) -> Tensor:
    """W + scale B A of one layer, [out_features, in_features] in fp32."""
    a, b = adapter.layers[layer]
    if weight.shape != (b.shape[0], a.shape[1]):
        raise ExportError(
            f"{layer} is {list(weight.shape)} in the base, but the adapter was trained on "
            f"{[b.shape[0], a.shape[1]]}: this is not the base it was trained from"
        )
    return weight.to(torch.float32).addmm(b, a, alpha=adapter.scale)


def refuse_unmerged(layers: set[str], source: ExportSource) -> None:
    """Raise `ExportError` when the base has no weight for some layers of the adapter."""
    if layers:
        raise ExportError(
            f"{source.base.name} stores no {min(layers)}.weight, which the adapter changes "
            f"({len(layers)} such layers): it cannot be merged, use --format peft"
        )
