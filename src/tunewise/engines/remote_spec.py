"""Which remote endpoint to ask, and how patiently. Free of secrets, so it can be saved with a run."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tunewise.errors import SpecError


class RemoteSpec(BaseModel):
    """An OpenAI-compatible endpoint and a model of it. The key is no part of it; see `open_remote_engine`."""

    # Inputs are hidden in errors because someone may have typed a password into the URL.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: str
    """What the routes are appended to, such as `https://api.openai.com/v1`."""
    model: str = Field(min_length=1)
    """The id that the endpoint knows the model by."""
    timeout_s: float = Field(60.0, gt=0, le=3600)
    """A try is given up after so many seconds in which the endpoint sent nothing."""
    max_retries: int = Field(4, ge=0, le=20)
    """Tries after the first one, on a lost connection, a time-out, 408, 409, 429 and 5xx.

    The client waits longer each time, or as long as the endpoint's `retry-after` says; if that is more than
    it is willing to wait (a minute), it gives up at once.
    """
    max_concurrency: int = Field(8, ge=1, le=256)
    """Requests of `generate` under way at a time, over all its callers. A stream is one more."""

    @field_validator("base_url")
    @classmethod
    def _base_url_is_plain(cls, base_url: str) -> str:
        return check_url(base_url, "base_url")


def check_url(url: str, name: str) -> str:
    """The URL of an endpoint, without a slash at its end. Raises `SpecError`, which calls it `name`."""
    try:
        parts = urlsplit(url)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port that is no number, brackets around no address.
        complete = False
    if not complete or any(c.isspace() or not c.isprintable() for c in url):
        raise SpecError(f"{name} is no http(s) URL: give one such as https://api.openai.com/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SpecError(
            f"{name} holds a user, a query or a fragment: leave them out, and give the key apart from it"
        )
    return url.rstrip("/")
