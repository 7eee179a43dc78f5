"""The pages' templates. Whatever is put into one is escaped, and what it holds is shown, not obeyed."""

from __future__ import annotations

import re
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from tunewise.report.wording import count, visible

_CODE = re.compile(r"`([^`]+)`")


@lru_cache
def load_template(name: str) -> Template:
    """A template of this package, by the name of its file."""
    environment = Environment(
        loader=PackageLoader("tunewise.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Every value passes here on its way out, so no control character can be forgotten.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters["count"] = count
    environment.filters["with_code"] = with_code
    return environment.get_template(name)


def with_code(sentence: str) -> Markup:
    """The sentence, escaped, in which `what stands like this` is marked as code."""
    parts = _CODE.split(visible(sentence))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )
