"""What a run of the flow may be told by a request, and what only by the command line.

Who can ask Prefect's server for a run can read the user's files already, or is a mistake in what
keeps others out. Either way no request makes a crawl reach where the recipe does not let it.
"""

import json
import os
from collections.abc import Mapping, Sequence
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
# What `serve` serves, for its runs: a recipe, lines of TOML laid over it, and a data directory.
SERVED = {
    "recipe": "WEBTEXT_SERVED_RECIPE",
    "data": "WEBTEXT_SERVED_DATA",
    "overrides": "WEBTEXT_SERVED_OVERRIDES",
}


def served(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment that holds runs to what these parameters of a deployment name."""
    lines = json.dumps(parameters.get("overrides") or [])
    return {
        SERVED["recipe"]: str(parameters["recipe"]),
        SERVED["data"]: str(parameters["data"]),
        SERVED["overrides"]: lines,
    }


def check(recipe: str, data: str, overrides: Sequence[str]) -> None:
    """Refuse what a request may not ask for.

    Raises:
        UserError: an override opens the crawl's guard, or the recipe or the data directory is not
            the one that is served.
    """
    for name, value in (("recipe", recipe), ("data", data)):
        wanted = os.environ.get(SERVED[name])
        if wanted is not None and value != wanted:
            raise UserError(
                f"{name} {value}: not the one that is served here, {wanted}; start webtext serve "
                "for it"
            )
    by_the_user = json.loads(os.environ.get(SERVED["overrides"]) or "[]")
    wanted_crawl, usual = load(recipe, overrides).crawl, Crawl()
    plain = load(recipe, by_the_user).crawl
    for key in OPENING:
        value = getattr(wanted_crawl, key)
        if value not in (getattr(plain, key), getattr(usual, key)):
            raise UserError(
                f"crawl.{key} = {value!r}: a run that is asked for by request cannot set this; "
                "write it into the recipe, or start webtext serve with --set"
            )
