"""What the environment decides, read once and nowhere else."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast

from tunewise.errors import SpecError
from tunewise.records import TokenPrice

Precision = Literal["float32", "bfloat16"]

HOURLY_PRICE = "TUNEWISE_HOURLY_PRICE"
ORGANIZATION = "TUNEWISE_ORG"
PRICE_IN, PRICE_OUT = "TUNEWISE_PRICE_IN", "TUNEWISE_PRICE_OUT"
VLLM_PRECISION = "TUNEWISE_VLLM_DTYPE"
ASSUMED_HOURLY_PRICE = 0.10


@dataclass(frozen=True, slots=True)
class Settings:
    """Paths, prices, a key; every field can be set through the environment variable its docstring names."""

    home: Path
    """`TUNEWISE_HOME` (default `~/.tunewise`): the registry and the cache of dequantised base models."""
    organization: str
    """`TUNEWISE_ORG` (default `local`): the third part of a tuned model's id."""
    currency: str
    """`TUNEWISE_CURRENCY` (default `GBP`): the ISO 4217 code that every cost is given in."""
    hourly_price: float
    """`TUNEWISE_HOURLY_PRICE` (default 0.10): what an hour of this machine costs, in `currency`.

    The default is an assumption, and the report calls it one: a laptop's electricity costs less, a rented
    GPU far more. What this machine computes costs this price times measured seconds.
    """
    hourly_price_is_assumed: bool
    device: str | None
    """`TUNEWISE_DEVICE` (`cpu`, `cuda`, `mps`; default: the best one at hand)."""
    threads_are_given: bool
    """Whether `OMP_NUM_THREADS` or `MKL_NUM_THREADS` says how many threads compute; else it is measured."""
    remote_url: str | None
    """`TUNEWISE_REMOTE_URL` (default: none): the endpoint that rivals named `remote:MODEL` are asked at."""
    remote_key: str | None = field(repr=False)
    """`TUNEWISE_REMOTE_KEY` (default: none): the key of the remote endpoint. Never shown or stored.

    OPENAI_API_KEY is not read: an endpoint may be anyone's, and that key is for OpenAI alone.
    """
    input_prices: Mapping[str | None, float]
    """`TUNEWISE_PRICE_IN` (default: not known): what the endpoint charges for reading a million tokens.

    In `currency`, by model; None is any other model. Written `0.25`, or `0.25,gpt-large=2` for two models.
    """
    output_prices: Mapping[str | None, float]
    """`TUNEWISE_PRICE_OUT`: the same for writing them."""

    vllm: str
    """`TUNEWISE_VLLM` (default `vllm`): what starts a vLLM server, or the URL of one that runs."""
    vllm_precision: Precision | None
    """`TUNEWISE_VLLM_DTYPE` (`float32`, `bfloat16`; default: what models are trained in on this machine)."""
    vllm_key: str | None = field(repr=False)
    """`TUNEWISE_VLLM_KEY` (default: none): the key of a vLLM server that runs. Never shown or stored."""
    wrong: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with a variable's value, by its name; its field then holds the default. See `check`."""

    def check(self, *variables: str) -> None:
        """Raise `SpecError` where one of these variables holds what it cannot be.

        For whoever is about to use them, before anything that takes long; nobody else is stopped.
        """
        for variable in variables:
            if variable in self.wrong:
                raise SpecError(self.wrong[variable])

    def cost(self, seconds: float) -> float:
        """The price of `seconds` of this machine, in `currency`. Raises `SpecError` where no price is set."""
        self.check(HOURLY_PRICE)
        return seconds / 3600 * self.hourly_price

    def token_price(self, model: str) -> TokenPrice | None:
        """What the endpoint charges for this model; None where one of the two prices is not known.

        Raises `SpecError` where one of them is no price.
        """
        self.check(PRICE_IN, PRICE_OUT)
        read, written = (
            prices.get(model, prices.get(None)) for prices in (self.input_prices, self.output_prices)
        )
        return None if read is None or written is None else TokenPrice(read, written)

    @property
    def registry(self) -> Path:
        """The SQLite file that knows every run and model."""
        return self.home / "tunewise.db"

    @property
    def cache(self) -> Path:
        """What can be made again: base models once dequantised, vectors of texts, the number of threads."""
        return self.home / "cache"


def read_settings(environment: dict[str, str]) -> Settings:
    """The settings that these variables ask for; `wrong` holds what they cannot be."""
    wrong: dict[str, str] = {}
    price = environment.get(HOURLY_PRICE)
    hourly_price = ASSUMED_HOURLY_PRICE if price is None else _read_price(price)
    if hourly_price is None:
        hourly_price = ASSUMED_HOURLY_PRICE
        wrong[HOURLY_PRICE] = f"{HOURLY_PRICE} is {price!r}: give a number such as 0.10"
    token_prices = {
        name: _read_token_prices(name, environment.get(name, ""), wrong) for name in (PRICE_IN, PRICE_OUT)
    }
    organization = environment.get(ORGANIZATION) or "local"
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", organization):
        wrong[ORGANIZATION] = f"{ORGANIZATION} is {organization!r}: use letters, digits, '.', '-' or '_'"
    precision = environment.get(VLLM_PRECISION) or None
    if precision not in (None, "float32", "bfloat16"):
        wrong[VLLM_PRECISION] = f"{VLLM_PRECISION} is {precision!r}: use float32 or bfloat16"
    return Settings(
        home=Path(environment.get("TUNEWISE_HOME") or Path.home() / ".tunewise"),
        organization="local" if ORGANIZATION in wrong else organization,
        currency=environment.get("TUNEWISE_CURRENCY") or "GBP",
        hourly_price=hourly_price,
        hourly_price_is_assumed=price is None,
        device=environment.get("TUNEWISE_DEVICE") or None,
        threads_are_given=any(environment.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")),
        remote_url=environment.get("TUNEWISE_REMOTE_URL", "").strip() or None,
        remote_key=environment.get("TUNEWISE_REMOTE_KEY", "").strip() or None,
        input_prices=token_prices[PRICE_IN],
        output_prices=token_prices[PRICE_OUT],
        vllm=environment.get("TUNEWISE_VLLM") or "vllm",
        vllm_precision=None if VLLM_PRECISION in wrong else cast(Precision | None, precision),
        vllm_key=environment.get("TUNEWISE_VLLM_KEY", "").strip() or None,
        wrong=wrong,
    )


def _read_price(text: str) -> float | None:
    """None for what is no price."""
    try:
        price = float(text)
    except ValueError:
        return None
    return price if 0 <= price < math.inf else None


def _read_token_prices(name: str, text: str, wrong: dict[str, str]) -> dict[str | None, float]:
    prices: dict[str | None, float] = {}
    for part in text.split(","):
        model, _, written = part.strip().rpartition("=")
        price = _read_price(written)
        if price is not None:
            prices[model or None] = price
        elif part.strip():
            wrong[name] = (
                f"{name} is {text!r}: give the price of a million tokens, such as 0.25, or one for each "
                "model, such as small=0.25,large=2"
            )
    return prices


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process."""
    return read_settings(dict(os.environ))


def child_environment(**defaults: str) -> dict[str, str]:
    """The environment for a program with a Python of its own: `defaults`, and over them this process's.

    Without what points at our Python or is for tunewise alone, such as keys.
    """
    ours = re.compile("PYTHONPATH|PYTHONHOME|VIRTUAL_ENV|TUNEWISE_.*")
    return defaults | {name: value for name, value in os.environ.items() if not ours.fullmatch(name)}
