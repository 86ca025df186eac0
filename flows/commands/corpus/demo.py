"""All steps, on a small web that this machine serves itself."""

import os
import shutil
import sys
import time
from pathlib import Path
from shlex import quote

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.flows.commands.corpus.builds import run_build
from webtext.flows.commands.models.training_runs import run_sample, run_training

PROMPT = "The function returns"


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="Directory for all that the demo makes.",
)
@options.workers
def demo(data: Path, workers: int) -> None:
    """Harvest, crawl, build, tokenise, train and sample, with no network, in under 5 minutes."""
    from webtext.pipeline.core.directories.distribution import need

    started = time.monotonic()
    need("demo", "aiohttp", "duckdb", "torch")  # not told after minutes
    build(data, workers)
    run = data / "runs" / "tiny"
    run_training("tiny", newest_tokens(data), run, None, ())
    echo("\nwhat the model writes so far:\n", err=True)
    run_sample(run, PROMPT, 60, samples=1, device=None, seed=0, temperature=0.8, top_k=40)
    page = report(data, run)
    webtext, where = callable_as(), quote(str(data))
    echo(
        f"""
done in {time.monotonic() - started:,.0f} s. What to look at next:
  {page}   the funnel and the statistics, with plots
  {webtext} inspect --data {where}   every document in your browser: kept or dropped, and why
  {webtext} trace http://troubles.demo.test/de.html --data {where}   the life of one URL
  {webtext} report --data {where}   the funnel again
  {webtext} plan webtext --set 'links.sources = ["RS_2015-01.zst"]'   what a real build would make
The README says how to run it on real dumps.""",
        err=True,
    )


def callable_as() -> str:
    """Return how to call this command in a shell here: by name, or by its path."""
    if Path(sys.argv[0]).name == "__main__.py":
        return "python -m webtext"
    return "webtext" if shutil.which("webtext") else quote(os.path.relpath(sys.argv[0]))


def build(data: Path, workers: int) -> None:
    """Serve the demo's web while it is crawled, and build its corpus."""
    from webtext.flows.building.settings import load
    from webtext.flows.demo.demo_server import serving
    from webtext.pipeline.build import Build

    dump = data / "submissions.zst"
    source = f"links.sources = [{options.toml_text(str(dump))}]"
    if dump.exists() and all(step.done for step in Build(load("demo", [source]), data).plan()):
        run_build("demo", data, None, workers, (source,), no_prefect=False)
        return
    echo("making a small web of what this Python installation says of itself", err=True)
    with serving(dump) as port:
        here = f"crawl.connect_to = ['*:80:127.0.0.1:{port}', '*:443:127.0.0.1:{port}']"
        run_build("demo", data, None, workers, (source, here), no_prefect=False)


def newest_tokens(data: Path) -> Path:
    """Return the token shards that the build has made."""
    from webtext.pipeline.build import Build

    return Build(None, data).path("tokens").path


def report(data: Path, run: Path) -> Path:
    """Write the page with the plots, including the training's."""
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.places import REPORT

    page = data / REPORT
    Build(None, data).report(page, run)
    return page
