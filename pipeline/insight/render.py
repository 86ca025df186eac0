"""HTML pages from templates: everything is escaped, and links are http(s) only."""

from collections.abc import Mapping
from typing import Any

import jinja2

from webtext.pipeline.core.visible import per_cent, sized
from webtext.pipeline.corpus.card import TEMPLATES


def render(template: str, view: Mapping[str, Any]) -> str:
    """Return a page; a name that the view lacks is an error, not a blank."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"n": "{:,}".format, "percent": percent, "sized": sized, "web": web}
    return environment.get_template(template).render(view)


def percent(share: float) -> str:
    """Return a share in per cent, for people.

    >>> percent(0.5), percent(0.0004), percent(0), percent(0.9997)
    ('50 %', '0.04 %', '0 %', '99.97 %')
    """
    return f"{per_cent(share, 0 if share >= 0.1 or not share else 1 if share >= 0.01 else 2)} %"


def web(url: str | None) -> str | None:
    """Return a URL if it is safe as a link, else None.

    >>> web("https://example.org/"), web("javascript:alert(1)")
    ('https://example.org/', None)
    """
    return url if url and url.lower().startswith(("http://", "https://")) else None
