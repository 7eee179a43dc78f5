"""The pages' templates. Whatever is put into one is escaped, and what it holds is shown, not obeyed."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tunewise.report.wording import count, visible


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
    return environment.get_template(name)
