"""Serve flows on a schedule, on a new or a running server; and check this machine."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options


@click.command()
@click.argument("recipe")
@options.data
@options.workers
@options.overrides
@click.option("--until", metavar="STEP", help="Of a build: stop after this step.")
@click.option(
    "--what",
    type=click.Choice(["build", "refresh", "train"]),
    default="build",
    show_default=True,
    help="What is run: a build, a refresh of its pages, or a training on its newest tokens.",
)
@click.option("--cron", metavar="EXPR", help="When, as cron has it, e.g. '0 3 1 * *'.")
@click.option("--every", type=options.Duration(), help="How often, e.g. 12h or 7d.")
@click.option(
    "--at",
    metavar="TIME",
    help="When: 03:00 each day, 'sun 03:00', '1 03:00' of each month, 2026-12-01T03:00 once.",
)
@click.option("--timezone", metavar="NAME", help="Of --cron and --at; this machine's by default.")
@click.option("--inactive", is_flag=True, help="Begin with the schedule switched off.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "queue"]),
    default="skip",
    show_default=True,
    help="What falls due while a run is at work: skipped, or one of it waits.",
)
@options.ending
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4200,
    show_default=True,
    help="Of the Prefect server, where none is there to join; 0 for any.",
)
def serve(
    recipe: str,
    data: Path,
    workers: int,
    overrides: tuple[str, ...],
    until: str | None,
    what: str,
    cron: str | None,
    every: float | None,
    at: str | None,
    timezone: str | None,
    inactive: bool,
    overlap: str,
    timeout: float | None,
    on_failure: str | None,
    on_finish: str | None,
    port: int,
) -> None:
    """Run a build, refresh or training on a schedule, and show it on Prefect's pages.

    Without --cron, --every or --at it runs when it is asked for on the pages. SIGTERM ends it, and
    all that it started, within 5 seconds; what is under way goes on at the next start.
    """
    echo(f"webtext: {recipe} into {data} (process {os.getpid()})", err=True)
    from webtext.pipeline.core.directories.distribution import need

    need("serve", "prefect")
    options.name_hooks(on_failure, on_finish)
    from webtext.flows.prefect.timetable import Served, parameters_of, schedule

    found = schedule(cron, every, at, timezone, not inactive)
    lines = list(overrides)
    _check(recipe, lines, data, what, until)
    parameters = parameters_of(what, recipe, data, workers, lines, timeout, overlap, until)
    name = Path(recipe).stem
    from webtext.flows.prefect.serving import keep_serving

    keep_serving(Served(what, name, parameters, [found] if found else []), data, port)


def _check(recipe: str, overrides: list[str], data: Path, what: str, until: str | None) -> None:
    """Find mistakes now, not at the first scheduled run.

    Raises:
        UserError: a mistake in the recipe, or a source that does not exist.
    """
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build

    loaded = load(recipe, overrides)
    if what == "build":
        Build(loaded, data).plan(until)


@click.command()
@options.data
@options.as_json
@click.option("--offline", is_flag=True, help="Ask no name server and no web server.")
def doctor(data: Path, as_json: bool, offline: bool) -> None:
    """Check this machine for what a build needs, and say what to do if something is wrong.

    The exit code is 1 if something would stop a build, else 0.
    """
    from webtext.flows.building.doctor import examine

    bad = False
    for finding in examine(data, network=not offline):
        bad = bad or finding.verdict == "bad"
        echo(json.dumps(asdict(finding)) if as_json else str(finding))
    sys.exit(int(bad))
