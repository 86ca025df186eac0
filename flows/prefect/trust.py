"""What a run of the flow may be told by a request, and what only by the command line.

Who can ask Prefect's server for a run can read the user's files already, or is a mistake in what
keeps others out. Either way no request makes a crawl reach where the recipe does not let it.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from webtext.flows.building.settings import load
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.settings import Crawl

OPENING = (  # settings of [crawl] that let it go where, or as fast as, it otherwise would not
    "allow_private",
    "ports",
    "connect_to",
    "ca_file",
    "respect_robots",
    "enforce_opt_out",
    "delay",
    "delay_per_ip",
)
SERVED = ("WEBTEXT_SERVED_RECIPE", "WEBTEXT_SERVED_DATA")  # set by `serve`, for its runs
OVERRIDES = "WEBTEXT_SERVED_OVERRIDES"  # those that `serve` itself was given, as JSON

_asked_here: ContextVar[bool] = ContextVar("asked_here", default=False)


@contextmanager
def asked_here() -> Iterator[None]:
    """Note that the user asks, in this very process, and so may ask for anything."""
    token = _asked_here.set(True)
    try:
        yield
    finally:
        _asked_here.reset(token)


def served_alone(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that holds the runs of `serve` to what it was started for."""
    kept = dict(zip(SERVED, (parameters["recipe"], parameters["data"]), strict=True))
    return {**kept, OVERRIDES: json.dumps(parameters["overrides"])}


def check(recipe: str, data: str, overrides: Sequence[str]) -> None:
    """Refuse what a request may not ask for.

    Raises:
        UserError: an override opens the crawl's guard, or the recipe or the data directory is not
            the one that is served.
    """
    if _asked_here.get():
        return
    for kind, name, value in zip(("recipe", "data"), SERVED, (recipe, data), strict=True):
        served = os.environ.get(name)
        if served is not None and value != served:
            raise UserError(
                f"{kind} {value}: not the one that is served here, {served}; start webtext serve "
                "for it"
            )
    ours = json.loads(os.environ.get(OVERRIDES, "[]"))
    wanted, plain, usual = load(recipe, overrides).crawl, load(recipe, ours).crawl, Crawl()
    for key in OPENING:
        value = getattr(wanted, key)
        if value not in (getattr(plain, key), getattr(usual, key)):
            raise UserError(
                f"crawl.{key} = {value!r}: a run that is asked for by request cannot set this; "
                "write it into the recipe, or use webtext build --set"
            )
