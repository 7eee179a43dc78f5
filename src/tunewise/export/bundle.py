"""READ FIRST: a model written out in one of three formats, whole and proven, or not at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tunewise.engines.llama_cpp import is_llama_cpp_installed
from tunewise.errors import ExportError, SpecError, TunewiseError
from tunewise.export import gguf_files
from tunewise.export.folders import copy_peft, write_transformers
from tunewise.export.proof import ExportProof, describe, prove
from tunewise.export.source import ExportSource
from tunewise.progress import Progress, SilentProgress
from tunewise.records import ExportFormat
from tunewise.store.files import new_folder, sha256_of_file, write_json

PROOF_FILE = "parity.json"


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and what is known of it."""

    model: str
    format: ExportFormat
    folder: str
    files: tuple[ExportedFile, ...]
    f16_error: float | None
    """GGUF: the largest difference that rounding to F16 made to a weight of the model."""
    parity: ExportProof | None
    """GGUF: None where it was not proven."""


def export_model(
    source: ExportSource,
    file_format: ExportFormat,
    out: Path,
    *,
    merge: bool = True,
    verify: bool = True,
    progress: Progress | None = None,
) -> Export:
    """Write `source` into the new folder `out`; GGUF is proven against llama.cpp before it is put there.

    `merge` and `verify` are GGUF's: one file, or base and adapter apart; and whether to prove. Raises
    `ExportError`, with `out` as it was.
    """
    progress = progress or SilentProgress()
    out = out.resolve()
    if not merge and file_format != "gguf":
        raise SpecError(f"--no-merge is for --format gguf, not for {file_format}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ExportError(f"{out} exists and is not an empty folder: give another --out")
    if file_format == "gguf":
        gguf_files.require_converter()
    f16_error, proof = None, None
    try:
        with new_folder(out) as folder:
            if file_format == "peft":
                copy_peft(source, folder)
            elif file_format == "safetensors":
                write_transformers(source, folder, progress)
            else:
                f16_error = gguf_files.write_gguf(source, folder, progress, merged=merge)
                proof = _prove(source, folder, progress, verify=verify)
    except TunewiseError:
        raise
    except OSError as error:
        raise ExportError(f"{out} cannot be written: {error}") from error
    files = tuple(
        ExportedFile(str(path), path.stat().st_size, sha256_of_file(path)) for path in sorted(out.iterdir())
    )
    return Export(source.id, file_format, str(out), files, f16_error, proof)


def _prove(source: ExportSource, folder: Path, progress: Progress, *, verify: bool) -> ExportProof | None:
    if not verify:
        progress.say("not verified, as asked: nobody has compared these files with the model")
        return None
    if not is_llama_cpp_installed():
        progress.say(f"not verified: llama.cpp is not installed ({gguf_files.INSTALL})")
        return None
    merged, base, adapter = (
        folder / name for name in (gguf_files.MODEL_FILE, gguf_files.BASE_FILE, gguf_files.ADAPTER_FILE)
    )
    proof = (
        prove(source, merged, None, progress) if merged.is_file() else prove(source, base, adapter, progress)
    )
    if not proof.passed:
        raise ExportError(
            f"the export does not answer as {source.id} does, so it was not kept: {describe(proof)}"
        )
    write_json(folder / PROOF_FILE, asdict(proof))
    progress.say(describe(proof))
    return proof
