"""Verify the files on the disk, and remove those that nothing needs."""

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.directories.checked import MANIFEST, about
from webtext.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from webtext.pipeline.insight.verification import Difference


@click.command()
@click.argument("data", default="data", type=options.DataDirectory(path_type=Path, file_okay=False))
@click.option("--remake", "recipe", metavar="RECIPE", help="Then make again what differs.")
@options.workers
@options.overrides
@options.as_json
@click.pass_context
def verify(
    context: click.Context,
    data: Path,
    recipe: str | None,
    workers: int,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Recompute all that the manifests in DATA say; exit 1 if something differs.

    Checks the sha256 of every file, that every file is in a manifest, that no step lost or made up
    a row, that ids match their URLs, that WARC records match their digests, and that the tokens
    decode to the corpus. Changes nothing, unless --remake names the recipe: directories that differ
    are then moved aside and made again. Crawled files stay where they are; only damaged records are
    fetched again.
    """
    from webtext.flows.building.terminal import meters
    from webtext.pipeline.build import Build
    from webtext.pipeline.insight.verification import directories

    found = []
    build = Build(None, data)
    with meters() as meter:
        for difference in build.verify(meter("verify")):
            found.append(difference)
            if not as_json:
                echo(difference)
    if as_json:
        told = [{"path": str(one.path), "said": one.said} for one in found]
        echo(json.dumps({"data": str(data), "differences": told}))
    if not found:
        count = len(directories(data, build.names))
        echo(f"{data}: {count} directories are what their manifests say", err=True)
        return
    for home, said in remedies(found, data):
        echo(f"{home}: {said}", err=True)
    if recipe is None:
        context.exit(1)
    remake(found, data, recipe, workers, overrides)


def remedies(found: "Iterable[Difference]", data: Path) -> "list[tuple[Path, str]]":
    """Return what to do with each directory that differs."""
    homes = dict.fromkeys(one.home for one in found if one.home != data)
    return [(home, _remedy(home, data)) for home in homes]


def _remedy(home: Path, data: Path) -> str:
    command = f"`webtext verify {quote(str(data))} --remake RECIPE`"
    if home.name.startswith("pages-"):
        return (
            f"put the right files back from a copy; or {command} takes up all records that are "
            "whole and fetches the damaged ones again; or build on, and each damaged record costs "
            "its page"
        )
    if home.name.startswith("links-"):
        return f"made again from its dumps, if they are still there, by {command}"
    return f"made again from what it was made of by {command}"


def remake(
    found: "Sequence[Difference]",
    data: Path,
    recipe: str,
    workers: int,
    overrides: tuple[str, ...],
) -> None:
    """Move the directories that differ aside, and build; nothing is removed.

    Raises:
        UserError: the recipe does not make these directories.
    """
    from webtext.flows.building.run_build import run_steps
    from webtext.flows.building.settings import load
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.core.directories.keeping import DAMAGED, noted_references, set_aside
    from webtext.pipeline.core.shards import sync_directory
    from webtext.pipeline.core.stores.working_copy import refuse

    refuse(data, "--remake")
    planned = Build(load(recipe, overrides), data).plan()
    archives = {step.home.path: step for step in planned if step.step.archive}
    made = {step.home.path.resolve() for step in planned}
    homes = list(dict.fromkeys(one.home for one in found if one.home != data))
    # What other crawls fetched stays as it is; whoever uses a damaged record fetches it again.
    used = {data / name for path in archives for name in noted_references(path)}
    homes = [home for home in homes if home in archives or home not in used]
    if strangers := [home for home in homes if home.resolve() not in made]:
        raise UserError(
            f"{strangers[0]}: not made by {recipe}, so that cannot make it again; name the recipe "
            "that does, with the same --set, or move that directory elsewhere"
        )
    with locked(data):
        for home in homes:
            added = [one.path for one in found if one.home == home and "no manifest" in one.said]
            if home in archives or home.name.startswith("pages-"):
                # Without its outcomes the crawl looks into each record before it believes it.
                made_by_it = ("manifest.json", "started.json", "outcomes", "index.cdxj")
                set_aside(home, DAMAGED, [*(home / name for name in made_by_it), *added])
            else:
                _moved(home)
        sync_directory(data)
    run_steps(planned, data, workers)


def _moved(home: Path) -> None:
    """Move a directory aside, and what lies beside it."""
    free, beside = _free(home), about(home)
    if beside != home:
        beside.rename(beside.with_name(free.name))
    if home.exists():  # not if an earlier run was stopped in between
        home.rename(free)


def _free(home: Path) -> Path:
    """Return a free path beside a directory, with a name that says which directory it was."""
    number = 1
    while (path := home.with_name(f"{home.name}.damaged-{number}")).exists():
        number += 1
    return path


@click.command()
@click.argument("recipes", nargs=-1, metavar="[RECIPE]...")
@options.data
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Whose corpora are kept, beside those of the runs in DATA/runs.",
)
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="Snapshots whose directories stay; the least snapshots.keep of the recipes by default.",
)
@click.option("--crawled", is_flag=True, help="Remove crawled directories as well.")
@click.option("--yes", is_flag=True, help="Remove them without asking.")
def gc(
    recipes: tuple[str, ...], data: Path, runs: Path, keep: int | None, crawled: bool, yes: bool
) -> None:
    """List the directories in DATA that nothing needs, with sizes; ask; then remove them.

    Needed are all inputs of the newest build, of each snapshot, of each RECIPE and of each training
    run. Snapshots beyond those to keep lose their names, which nothing else does. Crawled
    directories are listed, and stay unless --crawled is given: only a new crawl could replace
    them, and a crawl that is not finished is no part of the newest build yet. A snapshot that
    another data directory is deduplicated against is its own newest build, and so stays.
    """
    from webtext.flows.building.settings import load
    from webtext.flows.models.provenance import runs_in, trained_on
    from webtext.pipeline.build import Build
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.core.directories.months import retained, write
    from webtext.pipeline.core.stores.working_copy import refuse

    refuse(data, "gc")
    _seen(data)
    with locked(data):
        loaded = [load(name) for name in recipes]
        names = [step.home.name for one in loaded for step in Build(one, data).plan()]
        asked = [one.snapshots.keep for one in loaded if one.snapshots.keep is not None]
        kept, old = retained(data, keep or min(asked, default=None))
        names += [name for one in kept for name in one.directories.values()]
        trained = filter(None, (trained_on(config) for _, config in runs_in(runs, data)))
        found = Build(None, data).unreached(names, trained)
        for one in old:
            echo(f"snapshot {one.name} loses its name; {len(kept)} newer ones keep theirs")
        if not found and not old:
            echo(f"{data}: everything there is needed", err=True)
            return
        stays = "" if crawled else "; stays, --crawled removes it too"
        for home in found:
            what = f"  cannot be had again without the network{stays}" if home.fetched else ""
            echo(f"{home.bytes / 1e6:>12,.1f} MB  {home.path}{what}")
        gone = [one for one in found if crawled or not one.fetched]
        if not gone and not old:
            return
        size = sum(one.bytes for one in gone) / 1e6
        if not yes:
            click.confirm(f"Remove {len(gone)} ({size:,.1f} MB)?", abort=True, err=True)
        if old:
            write(data, kept)
        for home in gone:
            beside = about(home.path)
            (beside / MANIFEST).unlink(missing_ok=True)  # if we are killed now, it is not whole
            for path in {home.path, beside}:
                shutil.rmtree(path)
            (data / ".checked" / f"{home.path.name}.json").unlink(missing_ok=True)
        echo(f"removed {size:,.1f} MB", err=True)


def _seen(data: Path) -> None:
    """Refuse a data directory that is not there: a lock would make it.

    Raises:
        UserError: it is not there.
    """
    if not data.is_dir():
        raise UserError(f"{data}: no such directory; name another one with --data")


@click.command()
@options.data
@options.as_json
def snapshots(data: Path, as_json: bool) -> None:
    """Print the snapshots of a data directory, the oldest first: name, date and corpus.

    Each month's last corpus is its snapshot. Ask one of two by name: webtext compare data@2026-10
    data. How many stay is said to gc: webtext gc --keep 12, or snapshots.keep in a recipe.
    """
    from webtext.pipeline.core.directories.months import snapshots as found
    from webtext.pipeline.core.shards import Directory, row_count

    _seen(data)
    for one in found(data):
        corpus = Directory(data / one.directories["corpus"])
        count = sum(map(row_count, corpus.shards())) if corpus.whole else None
        if as_json:
            told = {"snapshot": one.name, "made": one.made, "documents": count}
            echo(json.dumps({**told, "directories": one.directories}))
            continue
        size = "its corpus is gone" if count is None else f"{count:,} documents"
        echo(f"{one.name}  made {one.made[:10]}  {size}  {corpus}")


@click.command()
@click.argument("what", nargs=-1, metavar="[DOMAIN|URL|FILE]...")
@click.option("--reason", help="Why: recorded, and shown by trace.")
@options.data
@click.option("--purge", is_flag=True, help="Remove it from all files in DATA too, after asking.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Those among them that read what is purged are named.",
)
@click.option("--yes", is_flag=True, help="Purge without asking.")
def forget(
    what: tuple[str, ...], reason: str | None, data: Path, purge: bool, runs: Path, yes: bool
) -> None:
    """Leave pages or whole sites out of all later harvests, crawls and builds in DATA.

    A DOMAIN means all names under it; a FILE has a domain or a URL a line, with # before comments.
    Without any of them, lists what is forgotten. --purge removes all that is to be forgotten from
    what is in DATA already, and then looks for it in every file there; exit 2 if something is left.
    A build before it saves work: it takes from the present directories what it made of other pages.
    """
    from webtext.flows.models.forgetting import listed, purge_all, said_in
    from webtext.pipeline.core.directories.data_directory import locked
    from webtext.pipeline.urls import forgotten

    if not what and not purge:
        listed(data)
        return
    if what and not (reason and reason.strip()):
        raise UserError("--reason: found none; say why, as in --reason 'asked by mail, 2026-11-20'")
    requests = [forgotten.request(one) for one in said_in(what)]
    if not requests:
        _seen(data)
    with locked(data):
        if requests:
            new = forgotten.record(data, requests, " ".join((reason or "").split()))
            options.publish(data / forgotten.FILE)
            known = len(requests) - len(new)
            tail = f"; {known} was known before" if known else ""
            said = "the next build leaves them out"
            echo(f"{data}: {len(new)} more to forget{tail}; {said}", err=True)
        if purge:
            purge_all(data, runs, yes)
