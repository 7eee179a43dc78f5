"""Whatever goes wrong with a remote endpoint, in one line that names it and never holds the key."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import openai

from tunewise.engines.remote_spec import RemoteSpec
from tunewise.errors import EndpointError, ModelNotFoundError, RequestError, TunewiseError

MAX_QUOTED = 300
"""Characters of what the endpoint said that an error repeats; some answer with a whole web page."""


class Faults:
    """Turns what the `openai` client raises into this package's errors."""

    def __init__(
        self,
        spec: RemoteSpec,
        key: str | None,
        *,
        key_setting: str = "TUNEWISE_REMOTE_KEY",
        no_route: str = "check base_url, which usually ends in /v1",
        has_ended: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`no_route` is the advice where a route is missing; `has_ended` says why a server is gone, if so."""
        self._spec = spec
        self._key = key
        self._key_setting = key_setting
        self._no_route = no_route
        self._has_ended = has_ended

    @contextmanager
    def explained(self, model: str | None = None) -> Iterator[None]:
        """Around everything that talks to the endpoint; `model` is the one that is asked, if any.

        Raises `ModelNotFoundError` and `RequestError` for what the endpoint says is wrong with the request,
        `EndpointError` for all else. The cause is cut off: its text may repeat the key.
        """
        try:
            yield
        except TunewiseError:
            raise
        # The border of a request: the client lets some of the exceptions of httpx and of json through.
        except Exception as error:
            raise self._explain(error, model) from None

    def _explain(self, error: Exception, model: str | None) -> TunewiseError:
        url = self._spec.base_url
        match error:
            case openai.APIStatusError():
                return self._explain_status(error, model)
            case openai.APITimeoutError():
                advice = "if it is only slow, raise timeout_s"
                return EndpointError(f"{url} sent nothing for {self._spec.timeout_s:g} s: {advice}")
            case openai.APIConnectionError() if (reason := self._has_ended()) is not None:
                return EndpointError(reason)
            case openai.APIConnectionError():
                return EndpointError(f"the connection to {url} failed: {self._quote(_cause_of(error))}")
            case openai.APIError():
                return EndpointError(f"{url} broke its answer off: {self._said(error)}")
            case ValueError():
                return EndpointError(
                    f"{url} answered with something other than the OpenAI API's JSON: {self._no_route}"
                )
            case _:
                reason = self._quote(f"{type(error).__name__}: {error}")
                return EndpointError(f"asking {url} failed: {reason}")

    def _explain_status(self, error: openai.APIStatusError, model: str | None) -> TunewiseError:
        said = self._said(error)
        line = f"{self._spec.base_url} answered {error.status_code}: {said}"
        match error.status_code:
            case 400 | 413 | 422:
                return RequestError(line, param=error.param if isinstance(error.param, str) else None)
            case 401 | 403:
                return EndpointError(f"{line}; check the key in {self._key_setting}")
            case 404 if model is not None and _is_about_the_model(error, said):
                known = f"choose a model that GET {self._spec.base_url}/models lists"
                return ModelNotFoundError(f"{line}; {known}")
            case 404 if _is_about_the_route(error):
                return EndpointError(f"{line}; {self._no_route}")
            case 429:
                return EndpointError(f"{line}; ask again later, or with a smaller max_concurrency")
            case status:
                return EndpointError(line, status=status)

    def _said(self, error: openai.APIError) -> str:
        """The endpoint's own words: the message of an OpenAI error body, else whatever it sent."""
        body = error.body
        message = (body.get("message") or body.get("detail")) if isinstance(body, dict) else body
        return self._quote(str(message or error.message))

    def _quote(self, text: str) -> str:
        """Text from outside as part of a line. The key goes first: what is cut must not be half of it."""
        line = " ".join("".join(c if c.isprintable() else " " for c in self._hide(text)).split())
        return line if len(line) <= MAX_QUOTED else f"{line[:MAX_QUOTED]}..."

    def _hide(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _is_about_the_model(error: openai.APIStatusError, said: str) -> bool:
    """OpenAI names it in `code`, newer vLLM in `param`, others in words only; the rest is a wrong route."""
    in_words = re.search(r"\bmodel\b", said, re.IGNORECASE) is not None
    return error.code == "model_not_found" or error.param == "model" or in_words


def _is_about_the_route(error: openai.APIStatusError) -> bool:
    """OpenAI has a code for it; a server that does not speak its language sends no error object."""
    return error.code == "unknown_url" or not (isinstance(error.body, dict) and "message" in error.body)


def _cause_of(error: BaseException) -> str:
    """What is at the bottom of an error, in the operating system's words where they are plainer."""
    if isinstance(error, BaseExceptionGroup):  # One for each address of the host.
        return _cause_of(error.exceptions[-1])
    deeper = error.__cause__ or error.__context__
    if deeper is not None:
        return _cause_of(deeper)
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
