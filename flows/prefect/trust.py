"""Which parameters of a run a request may set, and which only the command line may set.

A client that can request a run from Prefect's server can read the user's files already, or got in
by a bug in the access control. In both cases a request must not make a crawl go where the recipe
does not permit it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from webtext.flows.building.settings import load, said
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.crawl.settings import Crawl
from webtext.pipeline.filters.own.own_edits import without_own
from webtext.pipeline.filters.own.own_rules import KEYS

OPENING = (  # settings of [crawl] that permit addresses or speeds that it otherwise refuses
    "allow",
    "allow_private",
    "ports",
    "connect_to",
    "ca_file",
    "respect_robots",
    "enforce_opt_out",
    "delay",
    "delay_per_ip",
)
SERVED = {  # parameters that `serve` has set for its runs, and the variables that say to what
    "recipe": "WEBTEXT_SERVED_RECIPE",
    "data": "WEBTEXT_SERVED_DATA",
    "directory": "WEBTEXT_SERVED_DIRECTORY",  # another one may have other files of rules
}
OVERRIDES = "WEBTEXT_SERVED_OVERRIDES"  # the overrides that `serve` itself was given, as JSON


def served_alone(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment variables that limit the runs of `serve` to what is served."""
    kept = {variable: parameters[name] for name, variable in SERVED.items()}
    return {**kept, OVERRIDES: json.dumps(parameters["overrides"])}


def check(recipe: str, data: str, overrides: Sequence[str], directory: str | None = None) -> None:
    """Refuse parameters that a request must not set, and enter the directory of the run.

    The recipe's relative paths, also those of files of rules, begin in `directory`.

    Raises:
        UserError: an override removes a limit of the crawl or names a file to run; the recipe, the
            data directory or the directory is not the one that is served, or is not there.
    """
    given = {"recipe": recipe, "data": data, "directory": directory}
    for name, variable in SERVED.items():
        served = os.environ.get(variable)
        if served is not None and given[name] != served:
            raise UserError(
                f"{name} {given[name]}: not the one that is served here, {served}; start webtext "
                "serve for it"
            )
    if directory:
        try:
            os.chdir(directory)
        except OSError as error:
            raise UserError(f"directory {directory}: {error.strerror}; wanted a folder") from None
    ours = json.loads(os.environ.get(OVERRIDES, "[]"))
    # Before anything is loaded: to load rules of one's own is to run their file.
    if files_of_rules(recipe, overrides) != files_of_rules(recipe, ours):
        raise UserError(
            "a run that is asked for by request cannot name files of rules, edits or readers: "
            "programs; write them into the recipe, or use webtext build --set"
        )
    wanted, plain, usual = load(recipe, overrides).crawl, load(recipe, ours).crawl, Crawl()
    for key in OPENING:
        value = getattr(wanted, key)
        if value not in (getattr(plain, key), getattr(usual, key)):
            raise UserError(
                f"crawl.{key} = {value!r}: a run that is asked for by request cannot set this; "
                "write it into the recipe, or use webtext build --set"
            )


def files_of_rules(recipe: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Return which files and modules of rules a recipe names, without running any."""
    _, own = without_own(said(recipe, overrides))
    return {
        f"{above}.{name}": {key: table.get(key) for key in KEYS}
        for above, tables in own.items()
        for name, table in tables.items()
    }
