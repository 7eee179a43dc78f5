"""Finding and loading base models: the embedded default, a local folder, or a hub id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunewise.errors import ModelUnavailableError, SpecError
from tunewise.models.embedded import EMBEDDED, EMBEDDED_NAME, prepare_embedded
from tunewise.settings import Settings, get_settings
from tunewise.store.files import sha256_of_file

if TYPE_CHECKING:
    import torch

_CONFIG_FILE = "config.json"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A base model whose files are on this machine."""

    name: str
    """Short and lower case: the second part of a tuned model's id, and the id the base is asked under."""
    source: str
    """What `--base` was."""
    folder: Path
    """A `transformers` folder: weights in safetensors, config, tokenizer, chat template."""

    @property
    def reference(self) -> str:
        """What other tools load the base by: its hub id, or else its folder."""
        return self.source if "/" in self.source and not Path(self.source).is_dir() else str(self.folder)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A `transformers` causal language model with its tokenizer, in evaluation mode on `device`."""

    base: BaseModel
    model: Any
    tokenizer: Any
    device: torch.device

    @property
    def max_context(self) -> int:
        """The most tokens that prompt and answer may have together."""
        return int(self.model.config.max_position_embeddings)


def find_base(source: str = EMBEDDED, settings: Settings | None = None) -> BaseModel:
    """Resolve `--base` to files on this machine, fetching a hub id where there is a network.

    Raises `ModelUnavailableError` with one line that says what was looked for and where.
    """
    settings = settings or get_settings()
    source = canonical_source(source)
    if source == EMBEDDED:
        return BaseModel(EMBEDDED_NAME, source, prepare_embedded(settings.cache))
    folder = Path(source)
    if source and folder.is_dir():
        _require_weights(folder)
        return BaseModel(_short_name(folder.name), source, folder)
    if source.startswith((".", "/", "~")) or source.count("/") != 1:
        raise ModelUnavailableError(
            f"no base model {source!r}: give 'embedded', a hub id such as org/name, or a folder that exists"
        )
    return BaseModel(_short_name(source.split("/")[1]), source, _fetch(source))


def is_whole_model(folder: Path) -> bool:
    """Whether a tuned model's folder holds all its weights, rather than an adapter for its base."""
    return (folder / _CONFIG_FILE).is_file()


def whole_model(model_id: str, folder: Path) -> BaseModel:
    """A tuned model of which all weights were trained: a base of its own, asked under its `ft:` id.

    Raises `ModelUnavailableError` where the folder holds no such model.
    """
    _require_weights(folder)
    return BaseModel(model_id, str(folder), folder)


def canonical_source(source: str) -> str:
    """`--base` as it is recorded: a folder by its absolute path, anything else as it is."""
    folder = Path(source).expanduser()
    return str(folder.resolve()) if source not in ("", EMBEDDED) and folder.is_dir() else source


def load_base(base: BaseModel, settings: Settings | None = None) -> LoadedModel:
    """Load the weights in the precision that this device computes well in: fp32 on a CPU, bf16 on a GPU."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from tunewise.models.attention import PACKED_ATTENTION

    logging.disable_progress_bar()

    device = choose_device((settings or get_settings()).device)
    dtype = getattr(torch, precision_on(device))
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(base.folder)
        model: Any = AutoModelForCausalLM.from_pretrained(
            base.folder, dtype=dtype, attn_implementation=PACKED_ATTENTION
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailableError(f"the base model in {base.folder} cannot be loaded: {reason}") from error
    model.eval().requires_grad_(False).to(device)
    return LoadedModel(base, model, tokenizer, device)


def load_tokenizer(base: BaseModel) -> Any:
    """The tokenizer alone. Raises `ModelUnavailableError` when it cannot be loaded."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(base.folder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailableError(f"the tokenizer in {base.folder} cannot be loaded: {reason}") from error


def choose_device(wanted: str | None) -> torch.device:
    """The device asked for, or else a CUDA GPU, Apple's GPU or the CPU, whichever is there first."""
    import torch

    if wanted is not None:
        try:
            torch.empty(0, device=wanted)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise SpecError(f"TUNEWISE_DEVICE is {wanted!r}, which cannot be used here: {reason}") from error
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def precision_on(device: torch.device) -> Literal["float32", "bfloat16"]:
    """What this device computes well in."""
    return "bfloat16" if device.type == "cuda" else "float32"


def sha256_of_base(folder: Path) -> str:
    """One hash over everything that decides what the base answers: weights, config, tokenizer, template."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".json", ".jinja", ".model", ".txt"}:
            digest.update(f"{path.name} {sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def _require_weights(folder: Path) -> None:
    if not is_whole_model(folder):
        raise ModelUnavailableError(f"{folder} is no transformers model: it holds no {_CONFIG_FILE}")
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailableError(f"{folder} holds no weights in safetensors; pickled ones are not loaded")


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelUnavailableError(
            f"base model {hub_id!r} is not in the local hub cache and could not be fetched ({reason}); "
            "connect to a network, give a local folder, or leave --base out for the embedded model"
        ) from error
    _require_weights(folder)
    return folder


def _short_name(name: str) -> str:
    """Lower case, and only characters that cannot be mistaken for a separator in a model id or a path."""
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in name.lower()) or "base"
