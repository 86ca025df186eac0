"""Crawl alone, without the rest of a build."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.commands import options
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.core.stage import Passage

if TYPE_CHECKING:
    from webtext.flows.building.settings import Recipe
    from webtext.flows.building.steps import Step

ANY_SCORE = -(2**31)  # whoever names a list vouches for all of it


@click.command()
@click.argument("links", type=click.Path(path_type=Path))
@options.data
@options.contact
@options.workers
@options.overrides
def crawl(
    links: Path, data: Path, contact: str | None, workers: int, overrides: tuple[str, ...]
) -> None:
    """Fetch the URLs of LINKS politely, and archive what they answer in WARC files.

    LINKS is a links-* directory, or any file of URLs: txt, csv, jsonl or parquet, packed or not.
    Stop it whenever you like; the same command goes on.
    """
    from webtext.flows.building import steps
    from webtext.flows.building.settings import overridden

    tree = {} if links.is_dir() else {"links": {"sources": [str(links)], "min_score": ANY_SCORE}}
    recipe = overridden(tree, with_contact(overrides, contact), "--set")
    if links.is_dir():
        planned = [steps.crawl_step(recipe.crawl, made(links, "links"), data)]
    else:
        harvest = steps.harvest_step(recipe.links, data)
        planned = [harvest, steps.crawl_step(recipe.crawl, harvest.home, data)]
    run_crawl(planned, data, workers, recipe)


def made(path: Path, stage: str) -> Directory:
    """Return a directory that a stage has made.

    Raises:
        UserError: it is not whole, or another stage's.
    """
    found = Directory(path.absolute())
    if (maker := found.manifest().get("stage")) != stage:
        raise UserError(f"{path}: holds {maker}, wanted a directory of {stage}")
    return found


@click.command()
@click.argument("source", metavar="RECIPE|PAGES")
@options.data
@options.contact
@options.workers
@options.overrides
def refresh(
    source: str, data: Path, contact: str | None, workers: int, overrides: tuple[str, ...]
) -> None:
    """Crawl links again, asking each host whether its page has changed since.

    Given a RECIPE, its newest pages are refreshed; given a pages-* directory, that one. What has
    not changed is not archived again. Stop it whenever you like; the same command goes on.
    """
    from webtext.flows.building.settings import load

    lines = with_contact(overrides, contact)
    if Path(source).is_dir():
        recipe, planned = again(made(Path(source), "pages"), data, lines)
        run_crawl(planned, data, workers, recipe)
        return
    recipe, planned = next_round(load(source, lines), data)
    run_crawl(planned, data, workers, recipe)
    click.echo(f"to build on it: --set 'crawl.refreshes = {recipe.crawl.refreshes}'", err=True)


def again(pages: Directory, data: Path, overrides: list[str]) -> "tuple[Recipe, list[Step]]":
    """Return what crawls the links of a pages directory again, with the settings of then.

    Raises:
        UserError: nothing was crawled for it, or its links are gone.
    """
    from webtext.flows.building.settings import overridden
    from webtext.flows.building.steps import crawl_step

    manifest = pages.manifest()
    if "crawl" not in manifest["stages"]:
        raise UserError(
            f"{pages}: made of WARC files of others; only what was crawled is refreshed"
        )
    settings = manifest["stages"]["crawl"]["settings"]
    recipe = overridden({"crawl": settings}, overrides, str(pages.manifest_path))
    links = Directory(pages.path.parent / next(iter(manifest["inputs"])))
    if not links.whole:
        raise UserError(f"{pages}: its links are gone; wanted {links}")
    return recipe, [crawl_step(recipe.crawl, links, data, pages)]


def next_round(recipe: "Recipe", data: Path) -> "tuple[Recipe, list[Step]]":
    """Return the recipe and steps of its first refresh that is not whole.

    Raises:
        UserError: its first crawl is not whole, or it has none.
    """
    from webtext.flows.building.steps import plan

    if recipe.pages.warc:
        raise UserError("pages.warc: pages that others crawled cannot be refreshed, only replaced")
    for rounds in count():
        tried = replace(recipe, crawl=replace(recipe.crawl, refreshes=rounds))
        planned = plan(tried, data, "pages")
        if not all(step.done for step in planned):
            break
    if rounds == 0:
        raise UserError(f"{data}: holds no whole crawl of this recipe yet; build it first")
    return tried, planned


def with_contact(overrides: tuple[str, ...], contact: str | None) -> list[str]:
    """Return the overrides with the contact as one more, which counts for more than the others."""
    return [*overrides, *([f"crawl.contact = {json.dumps(contact)}"] if contact else [])]


def run_crawl(planned: "Sequence[Step]", data: Path, workers: int, recipe: "Recipe") -> None:
    """Make the pages directory that the steps end in, and print where it is."""
    from webtext.flows.building import run_build, steps, terminal
    from webtext.pipeline.crawl.frontier.outcomes import passage

    home = planned[-1].home
    if all(step.done for step in planned):
        steps.note_latest(data, planned)
        click.echo(f"nothing to do: {home} is whole", err=True)
    else:
        recipe.crawl.check_contact()  # before a harvest that may take an hour
        run_build.build_steps(planned, data, workers)
    for step in planned[:-1]:  # of a list, which of its lines were left out
        for row in step.home.manifest()["passages"]:
            terminal.say(terminal.passage_line(Passage(**row)))
    terminal.say(terminal.passage_line(passage(home)))
    click.echo(home)
