"""Crawl alone, without the rest of a build."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from webtext.flows.building.settings import Recipe
    from webtext.pipeline.core.shards import Directory
    from webtext.pipeline.core.step import Planned

ANY_SCORE = -(2**31)  # a list that the user names is trusted as a whole


@click.command()
@click.argument("links", type=click.Path(path_type=Path))
@options.data
@click.option("--part", help="Only the sites of one part; 2/3 is the second of three.")
@options.contact
@options.workers
@options.overrides
def crawl(
    links: Path,
    data: Path,
    part: str | None,
    contact: str | None,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Fetch the URLs of LINKS politely, and archive the responses in WARC files.

    LINKS is a links-* directory, or a file of URLs: txt, csv, jsonl or parquet, compressed or not.
    Stop it at any time; the same command goes on. Several machines can each do a --part.
    """
    from webtext.flows.building.run_build import run_steps
    from webtext.flows.building.settings import overridden
    from webtext.pipeline.build import Build
    from webtext.pipeline.crawl.step import STEP
    from webtext.pipeline.urls.parts import Part, part_of

    portion = Part.parsed(part, "--part ") if part else None
    if part:
        overrides = (*overrides, f"crawl.part = {options.toml_text(part)}")
    tree = {} if links.is_dir() else {"links": {"sources": [str(links)], "min_score": ANY_SCORE}}
    recipe = overridden(tree, with_contact(overrides, contact), "--set")
    build = Build(recipe, data)
    if portion:
        recipe.crawl.check_contact()
        if links.is_dir():
            whole = made(links, "links")
        else:
            planned = build.plan("links")
            run_steps(planned, data, workers)
            whole = planned[-1].home
        planned = [build.planned(STEP, {"links": part_of(whole, portion, data)})]
    elif links.is_dir():
        planned = [build.planned(STEP, {"links": made(links, "links")})]
    else:
        planned = build.plan("pages")
    run_crawl(planned, data, workers, recipe)


def made(path: Path, step: str) -> "Directory":
    """Return a directory that a step has made.

    Raises:
        UserError: it is not complete, or belongs to another step.
    """
    from webtext.pipeline.core.shards import Directory

    found = Directory(path.absolute())
    if (maker := found.manifest().get("stage")) != step:
        raise UserError(f"{path}: holds {maker}, wanted a directory of {step}")
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

    Given a RECIPE, its newest pages are refreshed; given a pages-* directory, that one. Pages that
    have not changed are not archived again. Stop it at any time; the same command goes on.
    """
    from webtext.flows.building.settings import load, shipped

    lines = with_contact(overrides, contact)
    if Path(source).is_dir() and source not in shipped():  # a folder may have the name of a recipe
        recipe, planned = again(made(Path(source), "pages"), data, lines)
        run_crawl(planned, data, workers, recipe)
        return
    recipe, planned = next_round(load(source, lines), data)
    run_crawl(planned, data, workers, recipe)
    echo(f"to build on it: --set 'crawl.refreshes = {recipe.crawl.refreshes}'", err=True)


def again(pages: "Directory", data: Path, overrides: list[str]) -> "tuple[Recipe, list[Planned]]":
    """Return the refresh of the links of a pages directory, with the settings of its crawl.

    Raises:
        UserError: nothing was crawled for it, or its links are gone.
    """
    from webtext.flows.building.settings import overridden
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.shards import Directory
    from webtext.pipeline.crawl.step import STEP

    manifest = pages.manifest()
    if "crawl" not in manifest["stages"] or "commoncrawl" in manifest["stages"]:
        raise UserError(f"{pages}: pages that others crawled; only what was crawled is refreshed")
    settings = manifest["stages"]["crawl"]["settings"]
    recipe = overridden({"crawl": settings}, overrides, str(pages.manifest_path))
    links = Directory(pages.path.parent / next(iter(manifest["inputs"])))
    if not links.whole:
        raise UserError(
            f"{pages}: its links are gone; wanted {links}: put them back, or make them again from "
            "the same dumps with `webtext build RECIPE --until links`"
        )
    return recipe, [Build(recipe, data).planned(STEP, {"links": links}, pages)]


def next_round(recipe: "Recipe", data: Path) -> "tuple[Recipe, list[Planned]]":
    """Return the recipe, and its steps up to the first refresh that is not complete.

    Raises:
        UserError: its first crawl is not complete, or it has none.
    """
    from webtext.pipeline.build import Build

    for key, others in {
        "pages.warc": recipe.pages.warc,
        "commoncrawl.crawls": recipe.commoncrawl.crawls,
        "documents.sources": recipe.documents.sources,
    }.items():
        if others:
            raise UserError(f"{key}: what was not crawled here cannot be refreshed, only replaced")
    for rounds in count():
        tried = replace(recipe, crawl=replace(recipe.crawl, refreshes=rounds))
        planned = Build(tried, data).plan("pages")
        if not all(step.done for step in planned):
            break
    if rounds == 0:
        raise UserError(f"{data}: holds no whole crawl of this recipe yet; build it first")
    return tried, planned


def with_contact(overrides: tuple[str, ...], contact: str | None) -> list[str]:
    """Return the overrides with the contact added, which takes precedence over the others."""
    return [*overrides, *([f"crawl.contact = {options.toml_text(contact)}"] if contact else [])]


def run_crawl(planned: "Sequence[Planned]", data: Path, workers: int, recipe: "Recipe") -> None:
    """Make the pages directory, the last of the steps, and print its path."""
    from webtext.flows.building import terminal
    from webtext.flows.building.run_build import run_steps
    from webtext.pipeline.build import note
    from webtext.pipeline.core.stage import Passage
    from webtext.pipeline.crawl.frontier.outcomes import passage

    home = planned[-1].home
    if all(step.finished for step in planned):
        note(data, planned)
        echo(f"nothing to do: {home} is whole", err=True)
    else:
        recipe.crawl.check_contact()  # checked before a harvest that may take an hour
        run_steps(planned, data, workers)
    for step in planned[:-1]:  # for a list: which of its lines were left out
        for row in step.home.manifest()["passages"]:
            terminal.say(terminal.passage_line(Passage(**row)))
    terminal.say(terminal.passage_line(passage(home)))
    echo(home)
