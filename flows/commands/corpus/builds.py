"""Build a corpus, and inspect it."""

import json
import os
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.pool import Workers


@click.command()
@click.argument("recipe")
@options.data
@click.option("--until", metavar="STEP", help="Stop after this step.")
@options.workers
@options.overrides
@click.option("--no-prefect", is_flag=True, help="Run the same functions without Prefect.")
@click.option(
    "--runner",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Who does the shards: processes of this machine, or Dask's workers.",
)
@click.option(
    "--address",
    metavar="tcp://HOST:PORT",
    help="A Dask scheduler's, for --runner dask; without it one is started here.",
)
@options.ending
def build(
    recipe: str,
    data: Path,
    until: str | None,
    workers: int,
    overrides: tuple[str, ...],
    no_prefect: bool,
    runner: str,
    address: str | None,
    timeout: float | None,
    on_failure: str | None,
    on_finish: str | None,
) -> None:
    """Run all steps from links to tokens; finished steps are not run again.

    RECIPE is a file, or the name of a recipe that comes with webtext.
    """
    options.name_hooks(on_failure, on_finish)
    if address is not None and runner != "dask":
        raise click.UsageError("--address is of a Dask scheduler: give --runner dask too.")
    by_dask = runner == "dask"
    run_build(recipe, data, until, workers, overrides, no_prefect, timeout, by_dask, address)


def run_build(
    recipe: str,
    data: Path,
    until: str | None,
    workers: int,
    overrides: tuple[str, ...],
    no_prefect: bool,
    timeout: float | None = None,
    by_dask: bool = False,
    address: str | None = None,
) -> None:
    """Build and print the result; if all is there, do nothing, quickly."""
    echo(f"webtext: {recipe} into {data} (process {os.getpid()})", err=True)
    from webtext.flows.building import terminal
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build, note

    asked = Build(load(recipe, overrides), data)
    planned = asked.plan(until)
    started = time.monotonic()
    if all(step.finished for step in planned):
        note(data, planned)
        echo(f"nothing to do: {planned[-1].home} is whole", err=True)
    else:
        from webtext.flows.building.run_build import build_plainly
        from webtext.flows.prefect.serving import build_beside
        from webtext.pipeline.core.directories.distribution import lacking

        if not no_prefect and find_spec("prefect") is None:
            echo(f"a view on Prefect's pages {lacking('prefect')}; built without it", err=True)
            no_prefect = True
        go = build_plainly if no_prefect else build_beside
        with ExitStack() as stack:
            runner: Workers = workers
            if by_dask:
                from webtext.flows.cluster.connecting import opened

                runner = stack.enter_context(opened(address, workers, data, terminal.say))
            go(asked, recipe, until, runner, list(overrides), timeout)
    found = asked.newest().funnel()
    echo(terminal.rendered(terminal.funnel_table(found)), err=True, nl=False)
    if (found["corpus"] or {}).get("documents") is not None:
        echo(terminal.corpus_line(found), err=True)
    echo(f"{planned[-1].home} in {time.monotonic() - started:,.0f} s", err=True)


@click.command()
@click.argument("recipe")
@options.data
@options.overrides
def plan(recipe: str, data: Path, overrides: tuple[str, ...]) -> None:
    """Print which directory each step of RECIPE has, and which are missing, like make -n."""
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build

    planned = Build(load(recipe, overrides), data).plan()
    for step in planned:
        state = "whole" if step.done else "to go on" if step.home.path.exists() else "to make"
        state = "to upload" if step.done and not step.finished else state
        echo(f"{step.name:<11} {state:<9} {step.home}")
    for step in planned:
        for line in step.step.remarks(step):
            echo(line, err=True)


@click.command()
@click.argument("step")
@options.data
def path(step: str, data: Path) -> None:
    """Print the newest complete directory of a STEP, such as pages, documents, corpus or tokens."""
    from webtext.pipeline.build import Build

    echo(Build(None, data).path(step).path)


@click.command()
@options.data
@options.as_json
@click.option("--run", "run_dir", type=click.Path(path_type=Path), help="A training run to plot.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page; DATA/report.html if it is left out.",
)
def report(data: Path, as_json: bool, run_dir: Path | None, html: Path | None) -> None:
    """Show the funnel; write it and all figures as one page with plots.

    With --json the funnel, the figures and the likeness to WebText are printed instead.
    """
    from webtext.flows.building import terminal
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.distribution import lacking
    from webtext.pipeline.core.directories.places import REPORT

    built = Build(None, data)
    found = built.funnel()
    if as_json:
        echo(json.dumps({**found, **built.figures()}))
        return
    echo(terminal.rendered(terminal.funnel_table(found)), nl=False)
    echo(terminal.corpus_line(found))
    if html is None and find_spec("duckdb") is None:
        echo(f"the page with plots {lacking('duckdb')}", err=True)
        return
    page = html or data / REPORT
    built.report(page, run_dir)
    if html is None:
        options.publish(page)
    echo(f"with plots: {page}", err=True)


@click.command()
@click.argument("url")
@options.data
@options.as_json
@click.option("--run", help="A training run: at which of its steps was the page read?")
def trace(url: str, data: Path, as_json: bool, run: str | None) -> None:
    """Show the history of one URL: who linked it, whether it was kept, and which rule decided."""
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.trace import describe

    story = Build(None, data).follow(url)
    found = story.plain()
    told = describe(story)
    if run is not None:
        from webtext.flows.commands.models.training_runs import find_run
        from webtext.flows.models import provenance

        found["trained"] = provenance.steps(find_run(run), found["id"])
        told += "\n" + provenance.tell_steps(found["trained"])
    echo(json.dumps(found, default=str) if as_json else told)
