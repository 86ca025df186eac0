"""Options that several commands share, so that they mean and are called the same everywhere."""

import math
import os
from pathlib import Path
from typing import Any

import click


class Number(click.FloatRange):
    """A finite number in a range; click's own takes "nan", which lies outside no range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number that was written."""
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number.", param, ctx)
        return found


data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="Directory that the steps' directories lie in.",
)
workers = click.option(
    "--workers",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Worker processes; they change no byte of the output.",
)
contact = click.option(
    "--contact", help="Where the sites' owners can complain: a URL or a mail address."
)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="'KEY = VALUE'",
    help="A line of TOML laid over the recipe, such as 'rules.gopher_quality.enabled = false'.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
